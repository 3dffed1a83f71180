// Translations of packs: frontends from 1.32 on load a language late and then drop what packs said in it, until
// Comfy-Org/ComfyUI_frontend#7214. This puts it back; where nothing is dropped, it changes nothing.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

app.registerExtension({
  name: "Higgs.Translations",
  async init() {
    const vue = document.getElementById("vue-app")?.__vue_app__;
    const i18n = vue?._context?.provides?.[vue.__VUE_I18N_SYMBOL__]?.global;
    if (!i18n?.setLocaleMessage || !api.getCustomNodesI18n) return; // no such frontend: English, or it does it itself
    const texts = await api.getCustomNodesI18n();
    const putBack = (language) => texts[language] && i18n.mergeLocaleMessage(language, texts[language]);
    const load = i18n.setLocaleMessage;
    i18n.setLocaleMessage = (language, messages) => {
      load.call(i18n, language, messages);
      putBack(language);
    };
    putBack(i18n.locale.value);
  },
});
