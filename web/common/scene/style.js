// The looks of the scene editor: colours from the editor's theme, so that light and dark both suit.
import { addStyle } from "../dom.js";

export function addSceneStyle() {
  addStyle("higgs-scene-style", CSS);
}

/** A hue for each name: by the name, and moved on where another has it already. */
export function huesOf(names) {
  const taken = new Map(), found = new Map();
  for (const name of names) {
    let slot = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 7) % SLOTS;
    for (let tries = 0; tries < SLOTS && taken.has(slot); tries++) slot = (slot + 5) % SLOTS;
    taken.set(slot, name);
    found.set(name, Math.round((slot * 360) / SLOTS));
  }
  return found;
}

const SLOTS = 12;

const CSS = `
.higgs-scene {
  --ink: var(--input-text, #ddd); --soft: color-mix(in srgb, var(--ink) 74%, var(--back));
  --back: color-mix(in srgb, var(--comfy-input-bg, #222) 40%, var(--panel)); --panel: var(--comfy-menu-bg, #353535);
  --line: color-mix(in srgb, var(--ink) 25%, var(--back)); --bad: color-mix(in srgb, #e5383b 78%, var(--ink));
  --warn: color-mix(in srgb, #c77700 78%, var(--ink)); --good: #27824f; --busy: #2f6fe0;
  display: flex; flex-direction: column; box-sizing: border-box; min-height: 220px; height: 100%; overflow: hidden;
  contain: size; /* a long script makes no higher node where Vue draws it */
  font: 13px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--back); border: 1px solid var(--line);
  border-radius: 8px; text-align: start; position: relative;
}
.higgs-scene *, .higgs-scene *::before { box-sizing: border-box; }
.higgs-scene [hidden] { display: none !important; }
.higgs-scene input, .higgs-scene textarea { font: inherit; color: inherit; background: none; border: 0; margin: 0; }
.higgs-scene input[type=button] { cursor: pointer; border-radius: 5px; padding: 2px 8px; }
.higgs-scene input[type=button]:disabled { opacity: .4; cursor: default; }
.higgs-scene input:focus-visible, .higgs-scene textarea:focus-visible {
  outline: 2px solid var(--busy); outline-offset: 0; }
.higgs-scene .bar { display: flex; gap: 4px; align-items: center; padding: 4px 6px; background: var(--panel);
  border-bottom: 1px solid var(--line); flex-wrap: wrap; }
.higgs-scene .bar input { border: 1px solid var(--line); background: var(--back); font-size: 12px; }
.higgs-scene .bar select { border: 1px solid var(--line); background: var(--back); color: var(--ink); font: inherit;
  font-size: 12px; border-radius: 5px; padding: 2px 4px; width: 64px; }
.higgs-scene .bar select option, .higgs-scene .bar select optgroup { background: var(--panel); color: var(--ink); }
.higgs-scene .bar input[aria-pressed=true] { background: var(--busy); border-color: var(--busy); color: #fff; }
.higgs-scene .said { margin-inline-start: auto; font-size: 12px; color: var(--soft); cursor: default; }
.higgs-scene .said.errors { color: var(--bad); font-weight: 600; cursor: pointer; }
.higgs-scene .said.warnings { color: var(--warn); cursor: pointer; }
.higgs-scene .rows { flex: 1; overflow-y: auto; overflow-x: hidden; padding: 4px 0; overscroll-behavior: contain; }
.higgs-scene .raw { flex: 1; resize: none; padding: 8px 10px !important; width: 100%;
  font: 12px/1.5 ui-monospace, monospace !important; tab-size: 2; }
.higgs-scene .row { display: grid; grid-template-columns: 22px minmax(56px, 104px) 1fr auto; gap: 2px 8px;
  padding: 2px 8px 2px 2px; align-items: start; border-inline-start: 3px solid transparent; position: relative;
  content-visibility: auto; contain-intrinsic-size: auto 28px; }
.higgs-scene .row:hover { background: color-mix(in srgb, var(--ink) 4%, var(--back)); }
.higgs-scene .row.active { background: color-mix(in srgb, var(--ink) 9%, var(--back)); content-visibility: visible;
  border-inline-start-color: var(--busy); }
.higgs-scene .row.error { border-inline-start-color: var(--bad); }
.higgs-scene .row.warning { border-inline-start-color: var(--warn); }
.higgs-scene .row.drop-before::before, .higgs-scene .row.drop-after::before { content: ""; position: absolute;
  left: 0; right: 0; height: 2px; background: var(--busy); }
.higgs-scene .row.drop-before::before { top: -1px; }
.higgs-scene .row.drop-after::before { bottom: -1px; }
.higgs-scene .row.dragged { opacity: .5; }
.higgs-scene .grip { color: var(--soft) !important; cursor: grab !important; padding: 2px 0 !important; width: 22px;
  text-align: center; user-select: none; touch-action: none; opacity: 0; }
.higgs-scene .row:hover .grip, .higgs-scene .row.active .grip, .higgs-scene .grip:focus { opacity: 1; }
.higgs-scene .chip { background: oklch(.52 .12 var(--hue)) !important; color: #fff !important; border-radius: 10px;
  padding: 1px 9px !important; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; width: 100%;
  font-size: 12px !important; line-height: 20px; height: 22px; cursor: pointer; }
.higgs-scene .chip.none { background: transparent !important; color: var(--soft) !important;
  box-shadow: inset 0 0 0 1px var(--line); }
.higgs-scene .chip[aria-invalid=true], .higgs-scene .tools input[aria-invalid=true] {
  box-shadow: inset 0 0 0 2px var(--bad); }
.higgs-scene .continues .chip { opacity: .6; }
.higgs-scene .kind { color: var(--soft); font-size: 12px; line-height: 22px; padding-inline-start: 9px; }
.higgs-scene .words { white-space: pre-wrap; overflow-wrap: anywhere; min-height: 22px; padding: 1px 4px !important;
  cursor: text; width: 100%; unicode-bidi: plaintext; border-radius: 4px; }
.higgs-scene textarea.words { display: block; resize: none; overflow: hidden; background: var(--back) !important;
  field-sizing: content; }
.higgs-scene .scene .words { font-weight: 600; }
.higgs-scene .comment .words { color: var(--soft); font-style: italic; }
.higgs-scene .cue .words { font: 12px/1.6 ui-monospace, monospace; color: var(--soft); }
.higgs-scene .row.scene { margin-top: 4px; border-top: 1px solid var(--line); padding-top: 4px; }
.higgs-scene .tools { display: flex; gap: 6px; align-items: center; justify-content: flex-end; font-size: 11px;
  color: var(--soft); min-height: 22px; white-space: nowrap; }
.higgs-scene .tools label { display: flex; align-items: center; gap: 3px; }
.higgs-scene .tools input[type=text] { width: 42px; padding: 1px 4px; border: 1px solid var(--line); border-radius: 4px;
  background: var(--back); text-align: end; color: var(--ink); }
.higgs-scene .state { display: inline-flex; align-items: center; gap: 4px; }
.higgs-scene .row.scene:first-child { margin-top: 0; border-top: 0; padding-top: 2px; }
.higgs-scene .track { width: 44px; height: 5px; border-radius: 3px; background: var(--line); overflow: hidden; }
.higgs-scene .track i { display: block; height: 100%; background: var(--busy); transition: width .2s linear; }
.higgs-scene .badge { border-radius: 8px; padding: 0 6px; line-height: 16px; font-size: 11px; color: #fff;
  background: #71717a; font-variant-numeric: tabular-nums; }
.higgs-scene .badge.good { background: var(--good); }
.higgs-scene .badge.bad { background: #c62f33; }
.higgs-scene .badge.busy { background: var(--busy); }
.higgs-scene.linked .rows, .higgs-scene.linked .raw { opacity: .45; }
.higgs-scene.linked .grip { visibility: hidden; }
.higgs-scene.linked .chip, .higgs-scene.linked .words { cursor: default; }
.higgs-scene .takes { color: var(--ink) !important; border: 1px solid var(--line) !important; padding: 0 6px !important;
  font-size: 11px !important; }
.higgs-scene .notes { grid-column: 3 / -1; font-size: 12px; padding: 0 4px 2px; overflow-wrap: anywhere; }
.higgs-scene .notes .error { color: var(--bad); }
.higgs-scene .notes .warning { color: var(--warn); }
.higgs-scene .empty { padding: 24px; text-align: center; color: var(--soft); }
.higgs-takes { contain: none; width: min(620px, 92vw); height: fit-content; max-height: 92vh; min-height: 0; margin: auto;
  padding: 0; inset: 0; }
.higgs-takes:not([open]) { display: none; }
.higgs-takes::backdrop { background: rgb(0 0 0 / .45); }
.higgs-takes .gap { flex: 1; }
.higgs-takes .title { padding: 10px 12px 4px; font-weight: 600; overflow-wrap: anywhere; max-height: 7em;
  overflow: auto; }
.higgs-takes .takes-list { padding: 6px 12px 10px; display: grid; gap: 4px; max-height: 50vh; overflow: auto; }
.higgs-takes .take { display: flex; align-items: center; gap: 8px; border: 1px solid var(--line); border-radius: 6px;
  padding: 3px 8px; }
.higgs-takes .take:has(:checked) { border-color: var(--busy); background: var(--panel); }
.higgs-takes .take label { flex: 1; display: flex; gap: 8px; align-items: center; cursor: pointer; }
.higgs-takes .take input[type=button] { border: 1px solid var(--line); }
.higgs-takes .take input[aria-pressed=true] { background: var(--good); border-color: var(--good); color: #fff; }
.higgs-takes .bar input[type=range] { flex: 1; border: 0; }
.higgs-takes .bar label { display: flex; gap: 4px; align-items: center; font-size: 12px; }
.higgs-takes .said { padding: 4px 12px 8px; margin: 0; min-height: 1.6em; }
@media (prefers-reduced-motion: reduce) { .higgs-scene .track i { transition: none; } }
`;
