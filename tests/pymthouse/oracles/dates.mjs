// Prints texts and what Date.parse of this Node makes of them: [[text, milliseconds | null], ...].
// TZ=UTC node dates.mjs COUNT [SEED] > ../data/js-dates.json
import { argv, stdout } from "node:process";
import { choices } from "./random.mjs";

const { random, below, pick } = choices(Number(argv[3] ?? 1));
const two = (most) => String(below(most)).padStart(2, "0");
const numeral = () =>
  pick([two, two, two, two, () => String(below(10)), () => String(1900 + below(200)), () => String(below(1e6)), () => String(Math.floor(random() * 1e12))])(100);

const months = ["Jan", "feb", "MAR", "april", "May", "june", "juL", "August", "sept", "Oct", "nov", "december", "janx"];
const words = [...months, ..."am PM a.m. utc UTC GMT gmt Z z UT T t EST edt CST PDT pst MST MDT cdt Mon Tue, Wednesday foo th st nd at of".split(" "),
  "é", "日", "[", "_", "\u00a0", "\ufeff", "\u2028", "😀", "ſ", "İ"];
const signs = ["-", "-", "/", ":", ":", "::", ".", ",", " ", "  ", "+", "(", ")", "(x)", "(a(b)c)", "(unclosed", "'", '"', "\t", "\n", "\0", "\u0001", "\u000b",
  ..."@#%&*;<=>?!$"];

const isoZone = () => pick(["Z", "z", "+", "-"]) + pick(["", `${two(26)}:${two(62)}`, String(below(2600)).padStart(4, "0"), numeral()]);
const isoTime = () =>
  pick(["T", "T", "T", "t", " ", "_"]) + `${two(26)}:${two(62)}` + pick(["", `:${two(62)}`, `:${two(62)}.${numeral()}`]) + pick(["", isoZone()]);
const iso = () => {
  let text = pick(["", "", "", "+00", "-00", "+", "-"]) + String(1970 + below(100));
  for (const [chance, part] of [[0.9, () => `-${two(14)}`], [0.9, () => `-${two(33)}`], [0.7, isoTime]]) {
    if (random() >= chance) break;
    text += part();
  }
  return text;
};

const day = () => String(below(33));
const month = () => pick(months);
const year = () => pick([String(1970 + below(60)), String(below(100))]);
const time = () => `${below(26)}:${two(62)}` + pick(["", "", `:${two(62)}`, `:${two(62)}`, `:${two(62)}`, `:${two(62)}.${numeral()}`]);
const legacy = () =>
  pick([
    () => `${month()} ${day()} ${year()}`,
    () => `${day()} ${month()} ${year()} ${time()}`,
    () => `Mon, ${day()} ${month()} ${year()} ${time()} GMT`,
    () => `${day()}/${day()}/${year()}`,
    () => `${year()}/${day()}/${day()} ${time()} ${pick(words)}`,
    () => `${month()} ${day()}, ${year()} ${time()} ${pick(["am", "PM", "", "GMT+", "UTC-", "+", "-"])}${pick(["", numeral(), `${numeral()}:${numeral()}`])}`,
    () => `${year()}-${day()}-${day()} ${time()}`,
    () => `${time()} ${month()} ${day()}`,
    () => `${day()}-${month()}-${year()}`,
    () => `Thu Jan 01 ${year()} ${time()} GMT+0100 (CET)`,
  ])();
const junk = () => Array.from({ length: 1 + below(7) }, () => pick([numeral, () => pick(words), () => pick(signs)])()).join("");
const changed = (text) => {
  for (let n = below(3); n > 0; n--) {
    const at = below(text.length + 1);
    const put = pick([() => pick(signs), () => "", numeral, () => pick(words)])();
    text = text.slice(0, at) + put + text.slice(at + (put ? below(2) : 1));
  }
  return text;
};

const found = Array.from({ length: Number(argv[2]) }, () => {
  const text = changed(pick([iso, iso, legacy, legacy, junk])());
  const instant = Date.parse(text);
  return [text, Number.isNaN(instant) ? null : instant];
});
stdout.write(`[\n${found.map((one) => JSON.stringify(one)).join(",\n")}\n]\n`);
