// How the mixer's lanes look. All colours come from the editor's theme.
import { addStyle } from "../dom.js";

const COLOURS = ["#2f9fd8", "#e8932c", "#4fa854", "#e0457b", "#a552bd", "#b99a1c", "#2f9a90", "#8f7266"];

const CSS = `
.higgs-lanes { --hl-strip: 132px; display: flex; flex-direction: column; box-sizing: border-box; width: 100%;
  height: 100%; padding: 4px 6px 6px; gap: 3px; overflow: hidden; border-radius: 6px; font: 11px/1.25 sans-serif;
  color: var(--input-text, #ddd); background: var(--comfy-menu-bg, #353535); user-select: none; }
.higgs-lanes * { box-sizing: border-box; }
.higgs-lanes :focus { outline: none; }
.higgs-lanes :focus-visible { outline: 2px solid var(--input-text, #fff); outline-offset: 1px; border-radius: 3px; }
.hl-head { display: flex; flex: none; align-items: center; gap: 8px; height: 20px; }
.hl-meter { position: relative; flex: none; width: calc(var(--hl-strip) - 8px); height: 8px; overflow: hidden;
  border-radius: 4px; background: var(--comfy-input-bg, #222); border: 1px solid var(--border-color, #4e4e4e); }
.hl-meter i { position: absolute; inset: 0 auto 0 0; width: 0; background: #4fa854; }
.hl-meter i.hot { background: #d9822b; }
.hl-figures { overflow: hidden; white-space: nowrap; text-overflow: ellipsis; font-variant-numeric: tabular-nums; }
.hl-stale .hl-figures, .hl-stale .hl-meter { opacity: 0.55; }
.hl-ruler { position: relative; flex: none; height: 14px; margin-left: var(--hl-strip); overflow: hidden;
  color: var(--descrip-text, #999); font-size: 10px; }
.hl-ruler span { position: absolute; top: 0; padding-left: 3px; border-left: 1px solid var(--border-color, #4e4e4e); }
.hl-row { display: flex; flex: 1 1 46px; min-height: 44px; max-height: 110px; }
.hl-row.quiet .hl-clip { opacity: 0.35; }
.hl-strip { display: grid; flex: none; width: var(--hl-strip); padding-right: 8px; align-content: center;
  grid-template-columns: 1fr auto auto; gap: 1px 3px; align-items: center; }
.hl-name { overflow: hidden; white-space: nowrap; text-overflow: ellipsis; font-weight: 600; color: var(--hl-ink); }
.hl-strip button { width: 18px; height: 15px; padding: 0; border: 1px solid var(--border-color, #4e4e4e);
  border-radius: 3px; font: 600 10px/1 sans-serif; color: inherit; background: var(--comfy-input-bg, #222);
  cursor: pointer; }
.hl-strip button[aria-pressed="true"] { color: #fff; border-color: transparent; }
.hl-mute[aria-pressed="true"] { background: #c24141; }
.hl-solo[aria-pressed="true"] { background: #b07d12; }
.hl-slide { display: flex; grid-column: 1 / -1; align-items: center; gap: 4px; height: 13px; }
.hl-slide input { flex: 1; min-width: 0; height: 12px; margin: 0; accent-color: var(--hl); cursor: pointer; }
.hl-slide output { flex: none; width: 42px; text-align: right; font-size: 10px; font-variant-numeric: tabular-nums;
  white-space: nowrap; color: var(--descrip-text, #999); }
.hl-lane { position: relative; flex: 1; min-width: 0; overflow: hidden; border-radius: 4px;
  background: var(--comfy-input-bg, #222); }
.hl-clip { position: absolute; top: 2px; bottom: 2px; overflow: hidden; border-radius: 4px; cursor: grab;
  touch-action: none; border: 1px solid var(--hl-ink); color: var(--hl-ink);
  background: color-mix(in srgb, var(--hl) 22%, transparent); }
.hl-clip.moving { cursor: grabbing; }
.hl-clip.guess { border-style: dashed; border-right-color: transparent; }
.hl-clip:focus-visible { outline-offset: -2px; }
.hl-clip svg { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
.hl-clip .wave { fill: currentColor; }
.hl-clip .fades { fill: none; stroke: var(--input-text, #ddd); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.hl-fade { position: absolute; top: 0; width: 11px; height: 11px; margin-left: -5px; cursor: ew-resize;
  touch-action: none; border-radius: 2px; border: 1px solid var(--comfy-input-bg, #222);
  background: var(--input-text, #ddd); }
.hl-tip { position: absolute; bottom: 1px; left: 50%; transform: translateX(-50%); font-size: 10px;
  color: var(--descrip-text, #999); pointer-events: none; white-space: nowrap; }
.hl-body { display: flex; flex: 1; min-height: 0; }
.hl-names { display: flex; flex: none; flex-direction: column; gap: 3px; width: 84px; padding: 17px 6px 12px 0; }
.hl-names .hl-name { flex: 1; min-height: 0; align-content: center; }
.hl-scroller { flex: 1; min-width: 0; overflow-x: auto; overflow-y: hidden; scrollbar-width: thin; }
.hl-inner { display: flex; flex-direction: column; gap: 3px; height: 100%; }
.hl-inner .hl-ruler { margin-left: 0; }
.higgs-lines .hl-head { justify-content: space-between; }
.higgs-lines .hl-figures { flex: 1; }
.higgs-lines .hl-lane { min-height: 0; }
.hl-zoom { flex: none; width: 20px; height: 18px; padding: 0; border: 1px solid var(--border-color, #4e4e4e);
  border-radius: 3px; color: inherit; background: var(--comfy-input-bg, #222); cursor: pointer; }
.hl-line { min-width: 3px; }
.hl-line.moved { border-width: 2px; }
.hl-text { position: absolute; inset: 2px 6px auto 6px; overflow: hidden; white-space: nowrap; text-overflow: ellipsis;
  font-size: 10px; color: var(--input-text, #ddd); pointer-events: none; }
.hl-edge { position: absolute; top: 0; bottom: 0; width: 5px; cursor: ew-resize; touch-action: none; }
.hl-edge.trim_start { left: 0; }
.hl-edge.trim_end { right: 0; }
.hl-edge:hover, .hl-edge:focus-visible { background: var(--hl-ink); }
`;

export function addLanesStyle() {
  addStyle("higgs-lanes-style", CSS);
}

/** The colours of a track: --hl for areas, --hl-ink for lines and text, nearer to the theme's text. */
export function dye(element, number) {
  const colour = COLOURS[number % COLOURS.length];
  element.style.setProperty("--hl", colour);
  element.style.setProperty("--hl-ink", `color-mix(in srgb, ${colour} 66%, var(--input-text, #ddd))`);
}
