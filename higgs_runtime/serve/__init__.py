"""`higgs serve`: one model behind HTTP, as OpenAI's speech API.

One thread, the engine, owns model and codec (engine.py); requests are lines that it takes into its batch as they arrive
(lines.py), and sound goes back to the event loop through a queue each. What a client sends is checked in fields.py and
references.py, answers are made in answers.py, the routes stand in app.py, size limits and the key in guard.py.
"""
