// A node with a live player: it shows once a codec is connected, and finds the sounds that are this node's.
import { cancelPrompt } from "../ask.js";
import { addElement } from "../element.js";
import { after, connected, hide, hideInVue, mapAgain, nodeOf, rootGraph } from "../node.js";
import { LivePlayer } from "./player.js";

const EVENT = "higgs.live"; // as in nodes/shared/live.py
const HEIGHT = 124;

/**
 * An extension for a node with the optional inputs `codec` and `live`.
 * @param {object} app ComfyUI's app
 * @param {object} api ComfyUI's api
 * @param {string} comfyClass
 */
export function liveExtension(app, api, comfyClass) {
  const get = (path) => api.fetchApi(path);
  const server = { get, cancel: cancelPrompt };
  const playerOf = (id) => {
    const node = nodeOf(rootGraph(app), id);
    return node?.comfyClass === comfyClass ? node.widgets?.find((widget) => widget.player)?.player : undefined;
  };
  return {
    name: `Higgs.Live.${comfyClass}`,
    setup() {
      api.addEventListener(EVENT, ({ detail }) => {
        if (detail.workflow === workflowId(app)) playerOf(detail.node)?.show(detail, true);
      });
    },
    nodeCreated(node) {
      if (node.comfyClass === comfyClass) addPlayer(node, server);
    },
    /** A workflow was opened, perhaps while it runs: what there is of its sounds comes, and does not play by itself. */
    async afterConfigureGraph() {
      const answer = await get(`/higgs/live?workflow=${encodeURIComponent(workflowId(app))}`);
      if (!answer.ok) return;
      for (const about of (await answer.json()).sounds) playerOf(about.node)?.show(about, false);
    },
  };
}

function addPlayer(node, server) {
  const player = new LivePlayer(server);
  const options = { hideOnZoom: true, getMinHeight: () => HEIGHT };
  const widget = addElement(node, "live_player", "higgs_live", player.element, options);
  widget.player = player;
  const live = node.widgets.find((one) => one.name === "live");
  const arrange = (keepSize) => {
    const before = node.computeSize()[1];
    const heard = connected(node, "codec");
    player.setHint(heard ? "Plays here while it is rendered." : "Connect a codec to hear it while it is rendered.");
    hide(live, !heard);
    hide(widget, !heard || !live.value);
    // Vue nodes of older frontends keep what they saw once a widget was changed: there both are always to be seen.
    if (!widget.visibility) [live, widget].forEach((one) => hideInVue(one, false));
    mapAgain(node);
    const needed = node.computeSize()[1];
    node.setSize([node.size[0], Math.max(needed, node.size[1] + (keepSize ? 0 : needed - before))]);
    node.setDirtyCanvas(true, true);
  };
  let waiting = false;
  let restored = false; // a saved node has the size that its person gave it
  const later = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      arrange(restored);
      waiting = restored = false;
    });
  };
  after(node, "onConfigure", () => {
    restored = true;
    later();
  });
  after(node, "onConnectionsChange", later);
  after(live, "callback", later);
  after(node, "onRemoved", () => player.clear());
  arrange(false);
}

function workflowId(app) {
  return String(rootGraph(app)?.id ?? "");
}
