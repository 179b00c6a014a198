// Prints JSON texts and how this Node writes them again: [[text, JSON.stringify(JSON.parse(text))], ...].
// node json.mjs COUNT [SEED] > ../data/js-json.json
import { argv, stdout } from "node:process";
import { choices } from "./random.mjs";

const { random, below, pick } = choices(Number(argv[3] ?? 1));
const numeral = () =>
  pick([
    () => String(below(1000) - 500),
    () => String((random() - 0.5) * 10 ** (below(50) - 25)),
    () => `${below(1000)}.${String(below(1e6)).padStart(6, "0")}`,
    () => `${below(100)}e${pick(["", "+", "-"])}${below(320)}`,
    () => `-${below(10)}.${below(1e9)}E-${below(12)}`,
    () => pick(["0", "-0", "0.0", "1.0", "1e21", "1e20", "123456789012345680000", "9007199254740993", "1e-6", "1e-7", "0.000001", "1e400", "-1e400", "5e-324"]),
    () => "9".repeat(1 + below(330)),
  ])();
const name = () => pick(["pipeline", "modelId", "a", "", "é", "0", "1", "10", "01", "-1", "4294967294", "4294967295", "1.5", "__proto__", "toString"]);
const texts = ["", "a/b", "\"\\\b\f\n\r\t", "\u0000\u001f\u007f\u0080", "é日😀", "\u2028\u2029", "</script>", "ﬁ", "x\ud800", "\udc00y", "\ud83d", "\ude00\ud83d"];
const value = (depth) =>
  pick([
    numeral,
    numeral,
    () => JSON.stringify(pick(texts) + pick(texts)),
    () => pick(["true", "false", "null"]),
    () => (depth ? `[${Array.from({ length: below(4) }, () => value(depth - 1)).join(pick([",", " , "]))}]` : "[]"),
    () => (depth ? `{${Array.from({ length: below(5) }, () => `${JSON.stringify(name())}: ${value(depth - 1)}`).join(",")}}` : "{}"),
  ])();

const found = Array.from({ length: Number(argv[2]) }, () => {
  const text = value(3);
  return [text, JSON.stringify(JSON.parse(text))];
});
stdout.write(`[\n${found.map((one) => JSON.stringify(one)).join(",\n")}\n]\n`);
