"""How figures, signs and abbreviations are said, by language: tables for `spellings`. `|` parts what is as right.

Readings after common usage: The Chicago Manual of Style, 18th ed., ch. 9-10 (en); Duden, Die deutsche Rechtschreibung
(de); Lexique des règles typographiques (fr); RAE, Ortografía, ch. VIII (es); GB/T 15835-2011 (zh); NHK's usage (ja).
"""

from __future__ import annotations


def _table(text: str) -> dict[str, list[str]]:
    """`key: one|other; …` as lists."""
    rows = (row.split(":", 1) for row in text.replace("\n", " ").split(";") if row.strip())
    return {key.strip(): [said.strip() for said in words.split("|")] for key, words in rows}


# One of a currency, several; one hundredth, several.
MONEY = {
    "en": _table(
        "$: dollar|dollars|cent|cents; €: euro|euros|cent|cents; £: pound|pounds|penny|pence; ¥: yen|yen|sen|sen; "
        "₹: rupee|rupees|paisa|paise; CHF: franc|francs|centime|centimes"
    ),
    "de": _table(
        "$: Dollar|Dollar|Cent|Cent; €: Euro|Euro|Cent|Cent; £: Pfund|Pfund|Pence|Pence; ¥: Yen|Yen|Sen|Sen; "
        "₹: Rupie|Rupien|Paisa|Paise; CHF: Franken|Franken|Rappen|Rappen"
    ),
    "fr": _table(
        "$: dollar|dollars|cent|cents; €: euro|euros|centime|centimes; £: livre|livres|penny|"
        "pence; ¥: yen|yens|sen|sen; "
        "₹: roupie|roupies|paisa|paise; CHF: franc|francs|centime|centimes"
    ),
    "es": _table(
        "$: dólar|dólares|centavo|centavos; €: euro|euros|céntimo|céntimos; £: libra|libras|penique|peniques; "
        "¥: yen|yenes|sen|sen; ₹: rupia|rupias|paisa|paise; CHF: franco|francos|céntimo|céntimos"
    ),
    "zh": _table(
        "$: 美元|美金|美分|美分; €: 欧元|欧元|欧分|欧分; £: 英镑|英镑|便士|便士; ¥: 元|块|分|分; "
        "₹: 卢比|卢比|派士|派士; CHF: 瑞士法郎|法郎|生丁|生丁"
    ),
    "ja": _table(
        "$: ドル|ドル|セント|セント; €: ユーロ|ユーロ|セント|セント; £: ポンド|ポンド|ペンス|"
        "ペンス; ¥: 円|円|銭|銭; ₹: ルピー|ルピー|パイサ|パイサ; CHF: フラン|フラン|サンチーム|"
        "サンチーム"
    ),
}
CODES = {
    "US$": "$",
    "USD": "$",
    "EUR": "€",
    "GBP": "£",
    "JPY": "¥",
    "CNY": "¥",
    "RMB": "¥",
    "元": "¥",
    "INR": "₹",
    "￥": "¥",
    "＄": "$",
}
MANY = {  # behind an amount
    "en": _table(
        "million: million; billion: billion; thousand: thousand; trillion: trillion; m: million; "
        "bn: billion; k: thousand; b: billion"
    ),
    "de": _table(
        "Millionen: Millionen; Million: Million; Milliarden: Milliarden; Mio: Millionen; Mrd: Milliarden; Tsd: tausend"
    ),
    "fr": _table(
        "millions: millions d|millions de|millions; million: million d|million de|million; "
        "milliards: milliards d|milliards de|milliards; M: millions d|millions de|millions"
    ),
    "es": _table("millones: millones de|millones; millón: millón de|millón; mil: mil; M: millones de|millones"),
    "zh": _table("万: 万; 亿: 亿; 千: 千; 百万: 百万"),
    "ja": _table("万: 万; 億: 億; 千: 千"),
}
UNITS = {  # behind a number
    "en": _table(
        "km: kilometers|kilometer|kilometres|kilometre; m: meters|meter|metres|metre; "
        "cm: centimeters|centimeter|centimetres; "
        "mm: millimeters|millimeter|millimetres; kg: kilograms|kilogram|kilos|kilo; g: grams|gram; "
        "mg: milligrams|milligram; "
        "lb: pounds|pound; lbs: pounds; oz: ounces|ounce; ft: feet|foot; mi: miles|mile; "
        "mph: miles per hour|miles an hour; "
        "km/h: kilometers per hour|kilometers an hour|kilometres per hour|kilometres an hour; "
        "l: liters|liter|litres|litre; "
        "ml: milliliters|millilitres; h: hours|hour; hr: hour|hours; hrs: hours; min: minutes|"
        "minute; s: seconds|second; "
        "sec: seconds|second; GB: gigabytes|gigabyte|gigs; MB: megabytes|megabyte; kB: kilobytes; "
        "Hz: hertz; kHz: kilohertz; "
        "W: watts|watt; kW: kilowatts|kilowatt; V: volts|volt; dB: decibels|decibel; ¢: cents|cent; p: pence; "
        "m²: square meters|square metres; km²: square kilometers|square kilometres; ×: times|by"
    ),
    "de": _table(
        "km: Kilometer; m: Meter; cm: Zentimeter; mm: Millimeter; kg: Kilogramm|Kilo; g: Gramm; "
        "mg: Milligramm; l: Liter; "
        "ml: Milliliter; km/h: Kilometer pro Stunde|Stundenkilometer|Kilometer in der Stunde; "
        "h: Stunden|Stunde|Uhr; Std: Stunden; "
        "min: Minuten|Minute; Min: Minuten|Minute; s: Sekunden|Sekunde; Sek: Sekunden; "
        "Mio: Millionen; Mrd: Milliarden; "
        "Jh: Jahrhundert; m²: Quadratmeter; km²: Quadratkilometer; W: Watt; V: Volt; kW: Kilowatt"
    ),
    "fr": _table(
        "km: kilomètres|kilomètre; m: mètres|mètre; cm: centimètres; mm: millimètres; kg: kilos|"
        "kilo|kilogrammes; g: grammes; "
        "l: litres|litre; km/h: kilomètres heure|kilomètres à l'heure|kilomètres par heure; "
        "h: heures|heure; min: minutes|minute; "
        "s: secondes|seconde; m²: mètres carrés"
    ),
    "es": _table(
        "km: kilómetros|kilómetro; m: metros|metro; cm: centímetros; mm: milímetros; kg: kilos|"
        "kilo|kilogramos; g: gramos; "
        "l: litros|litro; km/h: kilómetros por hora; h: horas|hora; min: minutos|minuto; "
        "s: segundos|segundo; m²: metros cuadrados"
    ),
    "zh": _table(
        "km: 公里|千米; m: 米; cm: 厘米; mm: 毫米; kg: 公斤|千克; g: 克; l: 升; h: 小时; "
        "km/h: 公里每小时; m²: 平方米; 日: 日|号; 号: 号|日"
    ),
    "ja": _table(
        "km: キロ|キロメートル; m: メートル; cm: センチ|センチメートル; kg: キロ|キログラム; "
        "g: グラム; l: リットル; km/h: キロ|キロメートル毎時; m²: 平方メートル|平米"
    ),
}
PERCENT = _table(
    "en: percent|per cent; de: Prozent; fr: pour cent; es: por ciento|porciento; ja: パーセント; "
    "it: per cento|percento; pt: por cento; nl: procent; ko: 퍼센트|프로"
)
DEGREES = {  # {} is the number
    "en": _table(
        "°C: {} degrees Celsius|{} degrees centigrade|{} degrees; °F: {} degrees Fahrenheit|"
        "{} degrees; °: {} degrees|{} degree"
    ),
    "de": _table("°C: {} Grad Celsius|{} Grad; °F: {} Grad Fahrenheit; °: {} Grad"),
    "fr": _table("°C: {} degrés Celsius|{} degrés|{} degré; °F: {} degrés Fahrenheit; °: {} degrés|{} degré"),
    "es": _table(
        "°C: {} grados Celsius|{} grados centígrados|{} grados; °F: {} grados Fahrenheit; °: {} grados|{} grado"
    ),
    "zh": _table("°C: 摄氏{}度|{}摄氏度|{}度; °F: 华氏{}度|{}华氏度; °: {}度"),
    "ja": _table("°C: 摂氏{}度|{}度|{}度シー; °F: 華氏{}度; °: {}度"),
}
SIGNS = {
    "en": _table(
        "&: and; +: plus|and; =: equals|is|equal to; @: at; #: number|hashtag|hash; ×: times|by; "
        "÷: divided by; §: section; ±: plus or minus; ~: about|approximately; <: less than; "
        ">: greater than|more than"
    ),
    "de": _table(
        "&: und; +: plus|und; =: gleich|ist; @: at|ät; #: Nummer|Hashtag; ×: mal; "
        "÷: geteilt durch; §: Paragraph|Paragraf; ±: plus minus; ~: etwa|ungefähr"
    ),
    "fr": _table(
        "&: et; +: plus|et; =: égale|égal|égalent; @: arobase|at; #: numéro|hashtag; ×: fois; "
        "÷: divisé par; §: paragraphe; ±: plus ou moins"
    ),
    "es": _table(
        "&: y; +: más|y; =: igual a|es igual a|son; @: arroba; #: número|almohadilla; ×: por; "
        "÷: entre|dividido por; §: sección|párrafo; ±: más menos"
    ),
    "zh": _table("&: 和; +: 加; =: 等于; ×: 乘|乘以; ÷: 除以; @: 艾特; ~: 到|至"),
    "ja": _table("&: アンド|と; +: プラス|足す; =: イコール|は; ×: かける; ÷: 割る; @: アット; ~: から"),
}
MINUS = {
    "en": ["minus", "negative"],
    "de": ["minus"],
    "fr": ["moins"],
    "es": ["menos"],
    "zh": ["负", "零下"],
    "ja": ["マイナス", "氷点下"],
}
NUMBER_SIGN = {
    "en": ["number"],
    "de": ["Nummer"],
    "fr": ["numéro"],
    "es": ["número"],
    "zh": ["第", "号"],
    "ja": ["ナンバー", "番号"],
}
ABBREVIATIONS = {  # with a point behind them, or without; of more than one letter
    "en": _table(
        "mr: mister; mrs: missus|misses; ms: miss|mizz; dr: doctor|drive; prof: professor; "
        "st: saint|street; jr: junior; sr: senior; "
        "vs: versus; etc: et cetera|etcetera; e.g: for example|eg|for instance; i.e: that is|ie; "
        "approx: approximately; dept: department; "
        "mt: mount; ave: avenue; rd: road; blvd: boulevard; inc: incorporated; ltd: limited; "
        "co: company; corp: corporation; "
        "capt: captain; gen: general; lt: lieutenant; sgt: sergeant; col: colonel; rev: reverend; "
        "hon: honorable|honourable; "
        "gov: governor; sen: senator; rep: representative; pres: president; fig: figure; "
        "vol: volume; ch: chapter; pp: pages; "
        "p: page; est: established; jan: january; feb: february; mar: march; apr: april; "
        "jun: june; jul: july; aug: august; "
        "sep: september; sept: september; oct: october; nov: november; dec: december; mon: monday; "
        "tue: tuesday; wed: wednesday; "
        "thu: thursday; fri: friday; sat: saturday; sun: sunday; w/: with; ok: okay; "
        "a.k.a: also known as|aka; p.s: postscript|ps"
    ),
    "de": _table(
        "z. b: zum Beispiel; d. h: das heißt; u. a: unter anderem|und andere; usw: und so weiter; "
        "bzw: beziehungsweise; dr: Doktor; "
        "hr: Herr; fr: Frau; nr: Nummer; ca: circa|zirka; st: Sankt; str: Straße; prof: Professor; evtl: eventuell; "
        "ggf: gegebenenfalls; vgl: vergleiche; s: Seite; abb: Abbildung; jh: Jahrhundert; "
        "mio: Millionen; mrd: Milliarden; "
        "std: Stunden; etc: et cetera; sog: sogenannte|sogenannten|sogenannter; inkl: inklusive; "
        "max: maximal; min: Minuten|mindestens; "
        "kap: Kapitel; bd: Band; jan: Januar; feb: Februar; apr: April; aug: August; "
        "sept: September; okt: Oktober; nov: November; dez: Dezember"
    ),
    "fr": _table(
        "m: monsieur; mm: messieurs; mme: madame; mmes: mesdames; mlle: mademoiselle; dr: docteur; "
        "pr: professeur; st: saint; "
        "ste: sainte; etc: et cetera; p. ex: par exemple; c.-à-d: c'est à dire; av: avenue|avant; "
        "bd: boulevard; env: environ; "
        "p: page; chap: chapitre; vol: volume; janv: janvier; févr: février; juil: juillet; "
        "sept: septembre; oct: octobre; nov: novembre; déc: décembre"
    ),
    "es": _table(
        "sr: señor; sra: señora; srta: señorita; sres: señores; dr: doctor; dra: doctora; "
        "ud: usted; uds: ustedes; etc: etcétera; "
        "p. ej: por ejemplo; pág: página; núm: número; av: avenida; avda: avenida; d: don; "
        "dña: doña; ee. uu: estados unidos; "
        "cap: capítulo; vol: volumen; aprox: aproximadamente; sto: santo; sta: santa; ene: enero; "
        "feb: febrero; sept: septiembre; oct: octubre; nov: noviembre; dic: diciembre"
    ),
}
# Short forms that are words themselves; a day, a month or a title has a capital where it is short for one.
WORDS_TOO = frozenset("sun sat wed mon mar fig rep hon col gen co inc rev".split())
WITHOUT_POINT = frozenset("mr mrs ms dr prof mme mmes mlle sr sra srta etc vs ok usw bzw nr ca w/".split())
MONTHS = {
    "en": "January February March April May June July August September October November December".split(),
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split(),
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split(),
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split(),
}
# Before a Roman number: a word for a part, which is counted. Before any other word with a capital it is a name's.
PARTS = frozenset(
    "chapter part book volume vol act scene section appendix canto stage phase type class level world war article "
    "title "
    "kapitel teil buch band akt szene abschnitt artikel klasse chapitre partie livre tome acte scène article "
    "siglo capítulo parte libro tomo acto escena artículo título century capitolo atto".split()
)
DENOMINATORS = {  # one, several
    "en": {2: ("half", "halves"), 3: ("third", "thirds"), 4: ("quarter|fourth", "quarters|fourths")},
    "de": {2: ("halb|halbe|halber|halbes|Halbes", "Halbe"), 3: ("Drittel", "Drittel"), 4: ("Viertel", "Viertel")},
    "fr": {2: ("demi|demie", "demis"), 3: ("tiers", "tiers"), 4: ("quart", "quarts")},
    "es": {
        2: ("medio|media", "medios"),
        3: ("tercio", "tercios"),
        4: ("cuarto", "cuartos"),
        5: ("quinto", "quintos"),
        6: ("sexto", "sextos"),
        7: ("séptimo", "séptimos"),
        8: ("octavo", "octavos"),
        9: ("noveno", "novenos"),
        10: ("décimo", "décimos"),
    },  # fmt: skip
}
A_HALF = _table(
    "en: a half|half; de: ein halb|einhalb|die Hälfte; fr: un demi|une demie|la moitié; "
    "es: un medio|la mitad|medio|media; zh: 一半|半; ja: 半分"
)
RANGE = _table("en: to|through|until; de: bis; fr: à; es: a|hasta; zh: 到|至; ja: から|ないし")  # between two numbers
POWERS = {
    "en": _table("²: squared|square; ³: cubed|cubic"),
    "de": _table("²: Quadrat|hoch zwei; ³: hoch drei"),
    "fr": _table("²: au carré|carré; ³: au cube|cube"),
    "es": _table("²: al cuadrado; ³: al cubo"),
    "zh": _table("²: 的平方|平方; ³: 的立方|立方"),
    "ja": _table("²: の二乗|二乗; ³: の三乗|三乗"),
}
OVER = {"en": ["over", "slash"], "de": ["durch"], "fr": ["sur"], "es": ["sobre", "partido por", "entre"]}
AND = {"en": "and", "de": "und", "fr": "et", "es": "y"}
