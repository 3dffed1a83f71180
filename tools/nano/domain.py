"""What Higgs Nano can say: its words by theme, and the sentences that are made of them.

A closed domain is what makes a model of this size intelligible. The words are those that people type first into a
speech program, and every word of this project's own examples.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

THEMES = {
    "greetings": "hello hi hey welcome goodbye good morning afternoon evening night thank thanks please sorry yes no "
    "okay sure great well nice meet see friend friends everyone",
    "people": "i my me you your he his she her it its we our us they their man woman child people name king anna emma "
    "jack maria john",
    "questions": "what where who when why how which can do does did will would have has was is are am be",
    "numbers": "zero one two three four five six seven eight nine ten eleven twelve thirteen fifteen twenty thirty "
    "forty fifty hundred thousand million first second third last next",
    "times": "o'clock half past quarter minute minutes hour hours day days week month year today tomorrow yesterday "
    "now soon always never again early late time",
    "days": "monday tuesday wednesday thursday friday saturday sunday",
    "months": "january february march april may june july august september october november december",
    "colours": "red blue green yellow black white orange purple brown",
    "places": "city house home street park school station airport hotel river sea mountain garden room kitchen door "
    "window bridge london berlin",
    "directions": "left right north south east west up down here there turn straight stop near far over under behind",
    "weather": "sun sunny rain snow wind windy cloudy storm warm hot weather sky summer winter spring autumn",
    "feelings": "happy angry tired afraid calm excited proud love like feel",
    "actions": "come go walk run open close listen look hear speak say tell read write play start wait work make take "
    "give find know think want need help try count counted show said smiled",
    "things": "dog cat bird book story song music letter table water coffee tea bread apple car train bus boat "
    "boats books songs birds lighthouse keeper light",
    "the pack": "higgs nano voice voices audio sound scene speaker workflow model prompt generate clone render mix "
    "node canvas computer script line dialogue following instruction recorded quiet words",
    "qualities": "big small long short old new little fast slow loud soft dark bad better beautiful true ready",
    "small words": "a an the and or but of in on at to for with from by not very too all some more about then only "
    "just so this that these out",
    "contractions": "don't can't it's that's let's i'm",
}
PAUSES = {",": 4, ";": 5, ":": 5, "-": 4, ".": 8, "!": 8, "?": 8, "\n": 0}  # frames of silence after the word before
TYPOGRAPHY = {"\u2019": "'", "\u2013": "-", "\u2014": "-", "\u2026": ".", "\u201c": "", "\u201d": "", '"': ""}
REPEATED_MARK = r"(?<=[,;:.!?-])[,;:.!?-]+"  # of "?!" and "..." the first counts
DIGITS = "zero one two three four five six seven eight nine".split()

# A sentence is a pattern of words and {slots}; a slot is one of its alternatives.
SLOTS = {
    "thing": "book|story|song|letter|table|water|coffee|tea|bread|apple|car|train|bus|boat|lighthouse|light",
    "animal": "dog|cat|bird",
    "person": "man|woman|child|king|friend|keeper|speaker",
    "name": "anna|emma|jack|maria|john",
    "place": "city|house|street|park|school|station|airport|hotel|river|sea|mountain|garden|room|kitchen|bridge",
    "colour": "red|blue|green|yellow|black|white|orange|purple|brown",
    "quality": "big|small|long|short|old|new|little|fast|slow|loud|soft|dark|bad|beautiful|quiet",
    "feeling": "happy|angry|tired|afraid|calm|excited|proud|sorry|ready",
    "weather": "sunny|windy|cloudy|warm|hot|dark",
    "season": "summer|winter|spring|autumn",
    "day": "monday|tuesday|wednesday|thursday|friday|saturday|sunday",
    "month": "january|february|march|april|may|june|july|august|september|october|november|december",
    "few": "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve",
    "number": "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fifteen|twenty|thirty|forty|"
    "fifty",
    "tens": "twenty|thirty|forty|fifty",
    "when": "now|soon|again|today|tomorrow|late|early|always|then",
    "side": "left|right|north|south|east|west",
    "near": "near|behind|under|over|in|by",
    "audio": "voice|audio|sound|scene|workflow|model|prompt|node|canvas|computer|script|line|dialogue|music",
    "action": "open|close|start|stop|play|render|mix|clone|generate|write|read|find|show",
    "go": "go|come|walk|run",
    "order": "first|second|third|last|next",
    "hello": "hello|hi|hey|welcome|good morning|good afternoon|good evening",
}
PATTERNS = [
    "{hello}, my name is {name}.",
    "{hello}, {name}! How are you today?",
    "{hello}, everyone. Welcome to the {place}.",
    "I am {feeling}, and you?",
    "We are very {feeling} today.",
    "She is {feeling}, but he is {feeling}.",
    "I feel {feeling} and {feeling}.",
    "It is nice to meet you, {name}.",
    "Thank you, {name}. See you {day}.",
    "Goodbye, my friend. See you in {month}.",
    "Please {action} the {audio}.",
    "Can you {action} the {audio}?",
    "This is my new {audio}.",
    "Listen to the {quality} {audio}.",
    "The {audio} of the {person} is {quality}.",
    "I can hear a {quality} {animal} in the {place}.",
    "The {colour} {thing} is {near} the {quality} {place}.",
    "Where is the {colour} {thing}?",
    "What do you want, {thing} or {thing}?",
    "Do you like the {colour} {thing}?",
    "Turn {side} at the {place}, then {go} straight.",
    "The {place} is {side} of the {place}.",
    "{go} to the {place} and turn {side}.",
    "It is {few} o'clock in the morning.",
    "It is half past {few}.",
    "We meet on {day} at {few} o'clock.",
    "The train is {number} minutes late.",
    "I have {number} {colour} boats.",
    "The {animal} has {few} friends.",
    "Today is {day}, the {order} day of {month}.",
    "In {month} it is very {weather}.",
    "The weather is {weather} and {weather} today.",
    "It was a {weather} {season} night.",
    "The {season} was long and {weather}.",
    "He has {tens} books and {few} songs.",
    "They have one hundred and {tens} people.",
    "Who has my {colour} {thing}?",
    "Why are you so {feeling}?",
    "When will you {go} home?",
    "How do I {action} a {audio}?",
    "I want to {go} to {place} {when}.",
    "Let's {go} to the {place} {when}.",
    "Don't {go} to the {place} at night.",
    "That's a {quality} {thing}, {name}.",
    "It's {weather} here, but there it is {weather}.",
    "The {quality} {person} and the {colour} {animal} walk home.",
    "Tell me a {quality} story about a {person}.",
    "The {order} {audio} is ready.",
    "Is the {audio} ready? Yes, it is.",
    "No, I don't know the {person}.",
    "{few}, {few}, {few}, {number}.",
    "The {person} can read the {quality} {thing}.",
    "I love the {season} in {place}.",
    "My {person} would like some {thing} {when}.",
    "Her {thing} is {colour}, his {thing} is {colour}.",
    "The {quality} {person} will {action} the {audio} {when}.",
    "These words are from a small model.",
    "London is {weather}, and Berlin is {weather}.",
    "Wait for me at the {place}, please.",
    "All the {colour} birds are here.",
    "Give {name} the {thing}, and take the {thing}.",
    "Look, the {quality} {place} is {near} the {place}.",
    "I can't find the {quality} {thing}.",
    "Who will help the {person}?",
    "The {person} smiled and said no.",
]


def words() -> list[str]:
    """All words, sorted, each once."""
    return sorted({word for theme in THEMES.values() for word in theme.split()})


def split_text(text: str) -> list[str]:
    """Words and pause marks of a text, in lower case; digits one by one as their words."""
    text = text.lower()
    for sign, plain in TYPOGRAPHY.items():
        text = text.replace(sign, plain)
    text = re.sub(REPEATED_MARK, "", text)
    parts = re.findall(r"[a-z]+(?:'[a-z]+)*|\d|[,;:.!?\n-]", text)
    return [DIGITS[int(part)] if part.isdigit() else part for part in parts]


def sentences(seed: int) -> Iterator[str]:
    """An endless stream of sentences from the patterns."""
    generator = random.Random(seed)
    while True:
        pattern = generator.choice(PATTERNS)
        text = re.sub(r"\{(\w+)\}", lambda slot: generator.choice(SLOTS[slot[1]].split("|")), pattern)
        yield text[0].upper() + text[1:]
