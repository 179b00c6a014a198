// Prints pairs of texts and what this Node's localeCompare says of them, as JSON: [[left, right, -1 | 0 | 1], ...].
// Usage: node sample.mjs COUNT [SEED]
import { argv, stdout } from "node:process";

let state = Number(argv[3] ?? 1) >>> 0;
const random = () => { // mulberry32: the same pairs for the same seed
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const below = (n) => Math.floor(random() * n);
const range = (from, to) => () => String.fromCodePoint(from + below(to - from + 1));
const pick = (text) => { const all = [...text]; return () => all[below(all.length)]; };

const alphabets = {
  ascii: range(0x20, 0x7e), controls: range(0, 0x1f), latin1: range(0xa0, 0xff), latin: range(0x100, 0x24f), ipa: range(0x250, 0x2ff),
  marks: range(0x300, 0x36f), greek: range(0x370, 0x3ff), greekMore: range(0x1f00, 0x1fff), cyrillic: range(0x400, 0x52f), armenian: range(0x530, 0x58f),
  hebrew: range(0x590, 0x5ff), arabic: range(0x600, 0x6ff), indic: range(0x900, 0xdff), thai: range(0xe00, 0xe7f), lao: range(0xe80, 0xeff),
  tibetan: range(0xf00, 0xfff), myanmar: range(0x1000, 0x109f), georgian: range(0x10a0, 0x10ff), jamo: range(0x1100, 0x11ff), latinMore: range(0x1e00, 0x1eff),
  punctuation: range(0x2000, 0x206f), superscripts: range(0x2070, 0x209f), currency: range(0x20a0, 0x20bf), letterlike: range(0x2100, 0x218f), symbols: range(0x2190, 0x27bf),
  radicals: range(0x2e80, 0x2fd5), kana: range(0x3040, 0x30ff), cjkSymbols: range(0x3000, 0x33ff), hanA: range(0x3400, 0x4dbf), han: range(0x4e00, 0x9fff),
  hangul: range(0xac00, 0xd7a3), compat: range(0xf900, 0xfaff), forms: range(0xfb00, 0xfdff), wide: range(0xff00, 0xffef), math: range(0x1d400, 0x1d7ff),
  emoji: range(0x1f300, 0x1faff), enclosed: range(0x1f100, 0x1f2ff), hanB: range(0x20000, 0x2a6df), any: () => { const c = below(0x110000); return String.fromCodePoint(c >= 0xd800 && c < 0xe000 ? 0xfffd : c); },
  close: pick("aAàÀáâãäåāąeEéèêëēoOøöőæÆœßsSſzZ0123½¼①²ⅷⅧﬁfiFIlLŀ·'’‘\"“”\u0300\u0301\u0308\u0327\u0338\u0345"),
  reordered: pick("กขเแโใไາເແກ\u0e31\u0e48\u0301ꪵꪀᦵᦀ"), tibetanVowels: pick("\u0fb2\u0fb3\u0f71\u0f72\u0f74\u0f80\u0f40\u0f90\u0301"),
  kanaMarks: pick("かがカガヵｶｶﾞハばパﾊﾟー\u3099\u309aゝヽ〆シメ㌀㌫"), brahmic: pick("கொ\u0bc6\u0bbe\u0bd7ଔஔ\u0b92\u0dd9\u0dca\u0dcf\u0cc6\u0cc2\u0cd5\u0d46\u0d3e\u0301"),
  cyrillicMarks: pick("иИйЙеЕёЁкќгѓ\u0306\u0308\u0301\u0304\u0327ІіЇї"),
};
const names = Object.keys(alphabets);
const word = (letters, most) => Array.from({ length: below(most + 1) }, () => letters[below(letters.length)]()).join("");
const changed = (text, letters) => { // near the first text, so that accents and case get to decide
  const all = [...text];
  const at = below(all.length + 1);
  const way = below(6);
  if (way === 0) all.splice(at, 0, letters[below(letters.length)]());
  else if (way === 1) all.splice(at, 1);
  else if (way === 2 && at < all.length) all[at] = all[at] === all[at].toUpperCase() ? all[at].toLowerCase() : all[at].toUpperCase();
  else if (way === 3) return all.join("").normalize(["NFC", "NFD", "NFKC", "NFKD"][below(4)]);
  else if (way === 4 && at + 1 < all.length) [all[at], all[at + 1]] = [all[at + 1], all[at]];
  else if (at < all.length) all[at] = letters[below(letters.length)]();
  return all.join("");
};

const pairs = [];
for (let i = Number(argv[2]); i > 0; i--) {
  const letters = Array.from({ length: 1 + below(3) }, () => alphabets[names[below(names.length)]]);
  const left = word(letters, 8);
  let right = random() < 0.2 ? word(letters, 8) : changed(left, letters);
  if (random() < 0.3) right = changed(right, letters);
  pairs.push([left, right, Math.sign(left.localeCompare(right, "en-US"))]);
}
stdout.write(JSON.stringify(pairs));
