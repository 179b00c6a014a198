// Derives the root collation (CLDR order) from this Node's own Intl.Collator and prints it as JSON.
//
// A collator only ever answers "less, equal, greater", yet that is enough to find every character's collation
// elements: the primary weights are the ranks of the characters that no shorter text explains, and an element
// of several weights is found by growing a text, weight by weight, until the collator calls it equal.
// U+034F (combining grapheme joiner) is ignored by the collation and keeps neighbours from contracting.
import { argv, stdout, versions } from "node:process";

const collator = (sensitivity) => new Intl.Collator("en-US", { sensitivity }).compare;
const [byBase, byAccent, byVariant] = ["base", "accent", "variant"].map(collator);
const text = String.fromCodePoint;
const glue = (...parts) => parts.filter((part) => part !== "").join("\u034f");
const HIGHEST = "\uffff";

const isAssigned = /^\p{Assigned}$/u;
const isOther = /^[\p{Cs}\p{Co}]$/u;
const isHangul = (cp) => cp >= 0xac00 && cp <= 0xd7a3;
const own = [0xfffd, 0xfffe, 0xffff]; // the reader of the table places these by rule

const contracts = (parts) => byVariant(parts.join(""), glue(...parts)) !== 0;
const plain = []; // what has weights of its own: not the sum of its canonical decomposition
const composed = [];
const contractions = []; // texts that are more than their characters
for (let cp = 0; cp < 0x110000; cp++) {
  if ((cp >= 0xd800 && cp < 0xe000) || isHangul(cp) || own.includes(cp)) continue;
  const character = text(cp);
  if (!isAssigned.test(character) || isOther.test(character)) continue;
  const parts = [...character.normalize("NFD")];
  if (contracts(parts)) contractions.push(parts.join(""));
  (parts.length === 1 && parts[0] !== character || (parts.length > 1 && !contracts(parts)) ? composed : plain).push(cp);
}

const classes = (cps, compare) => {
  const sorted = cps.map((cp) => text(cp)).sort((a, b) => compare(a, b) || byVariant(a, b) || (a < b ? -1 : 1));
  const groups = [];
  for (const item of sorted) {
    const last = groups.at(-1);
    if (last && compare(last[0], item) === 0) last.push(item);
    else groups.push([item]);
  }
  return groups;
};
// The last candidate for which `fits` holds; candidates are in the order that makes `fits` monotonic.
const lastFitting = (candidates, fits) => {
  let low = 0;
  let high = candidates.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fits(candidates[middle])) low = middle + 1;
    else high = middle;
  }
  return candidates[low - 1];
};

const ignored = plain.filter((cp) => byVariant(text(cp), "") === 0);
const markCps = plain.filter((cp) => byVariant(text(cp), "") !== 0 && byBase(text(cp), "") === 0);
const baseCps = plain.filter((cp) => byBase(text(cp), "") !== 0);

// Level 1: a group is one weight, or begins with the weight before it and has more.
const bases = [];
const sequences = [];
for (const group of classes(baseCps, byBase)) {
  const before = bases.at(-1);
  if (before && byBase(glue(before.text, HIGHEST), group[0]) > 0) sequences.push(...group);
  else bases.push({ rank: bases.length + 1, text: group[0], members: group });
}
const primaries = (item) => {
  const found = [];
  let sofar = "";
  while (byBase(sofar, item) !== 0) {
    const next = lastFitting(bases, (base) => byBase(glue(sofar, base.text), item) <= 0);
    if (!next) throw new Error(`no primary weights for ${JSON.stringify(item)}`);
    found.push(next);
    sofar = glue(sofar, next.text);
  }
  return found;
};

// Level 2: marks add secondary weights; a variant that no mark explains gets a weight of its own above all marks.
const marks = [];
const markSequences = [];
const markGroups = classes(markCps, byAccent);
const topMark = markGroups.at(-1)[0];
for (const group of markGroups) {
  const before = marks.at(-1);
  if (before && group[0] !== topMark && byAccent(glue(before.text, topMark), group[0]) > 0) markSequences.push(...group);
  else marks.push({ mark: marks.length + 1, text: group[0], variants: [] });
  if (group[0] === marks.at(-1).text) marks.at(-1).variants = classes(group.map((c) => c.codePointAt(0)), byVariant).map((v) => v[0]);
}
const withMarks = (item, sofar, rest, tokens) => {
  for (;;) {
    const mark = lastFitting(marks, (one) => byAccent(glue(sofar, one.text, rest), item) <= 0);
    const beyond = mark?.text === topMark && byAccent(glue(sofar, mark.text, rest), item) < 0;
    if (!mark || beyond) return sofar; // `beyond`: more than any mark, so not made of marks
    tokens.push(mark);
    sofar = glue(sofar, mark.text);
  }
};
const secondaries = (item) => {
  const path = primaries(item);
  const tokens = [];
  let sofar = withMarks(item, "", glue(...path.map((base) => base.text)), tokens);
  for (const [index, base] of path.entries()) {
    const rest = glue(...path.slice(index + 1).map((one) => one.text));
    const form = lastFitting(base.forms, (one) => byAccent(glue(sofar, one.text, rest), item) <= 0);
    if (byAccent(glue(sofar, form.text, topMark, rest), item) < 0) {
      const gap = { base, above: form, item };
      return { tokens: [...tokens, gap, ...path.slice(index + 1).map((one) => one.forms[0])], gap };
    }
    tokens.push(form);
    sofar = withMarks(item, glue(sofar, form.text), rest, tokens);
  }
  if (byAccent(sofar, item) !== 0) throw new Error(`no secondary weights for ${JSON.stringify(item)}`);
  return { tokens, gap: null };
};
for (const base of bases) {
  base.forms = [{ base, form: 0, text: base.text, variants: [] }];
  for (const group of classes(base.members.map((c) => c.codePointAt(0)), byAccent)) {
    if (secondaries(group[0]).gap) base.forms.push({ base, form: base.forms.length, text: group[0], variants: [] });
    const form = base.forms.at(-1);
    if (byAccent(form.text, group[0]) === 0) form.variants = classes(group.map((c) => c.codePointAt(0)), byVariant).map((v) => v[0]);
  }
}

// Level 3: each token has variants in order; a text between two of them gets a weight between.
const tertiaries = (item) => {
  const { tokens, gap } = secondaries(item);
  if (gap) return { tokens, variants: tokens.map(() => 0), gapAt: -1, item };
  const least = tokens.map((token) => token.variants[0]);
  const most = tokens.map((token) => token.variants.at(-1));
  const variants = tokens.map(() => 0);
  const sofar = [];
  for (const [i, token] of tokens.entries()) {
    const best = lastFitting(token.variants, (one) => byVariant(glue(...sofar, one, ...least.slice(i + 1)), item) <= 0);
    variants[i] = token.variants.indexOf(best); // -1: below all of them
    if (!best) return { tokens, variants, gapAt: i, item };
    sofar.push(best);
    if (byVariant(glue(...sofar, ...most.slice(i + 1)), item) < 0) return { tokens, variants, gapAt: i, item };
  }
  if (byVariant(glue(...sofar), item) !== 0) throw new Error(`no tertiary weights for ${JSON.stringify(item)}`);
  return { tokens, variants, gapAt: -1, item };
};

// Contractions that compose to no character: reordered vowels, Tibetan vowels, l + middle dot.
for (const script of ["Thai", "Laoo", "Tavt", "Talu", "Tibt", "Latn"]) {
  const member = new RegExp(`^\\p{Script_Extensions=${script}}$`, "u");
  const letters = script === "Latn" ? ["L", "l", "\u00b7"] : [...baseCps, ...markCps].map((cp) => text(cp)).filter((c) => member.test(c));
  for (const first of letters)
    for (const second of letters) {
      const pair = first + second;
      if (pair.normalize("NFD") === pair && !contractions.includes(pair) && contracts([first, second])) contractions.push(pair);
    }
}
contractions.push("\u0fb2\u0f71\u0f80", "\u0fb3\u0f71\u0f80"); // Tibetan vocalic letters with a long vowel
// Vowels that are written before their consonant and sorted after it.
const isReordered = (item) => [...item].length === 2 && byVariant(item, glue(...[...item].reverse())) === 0;

const singles = new Set(bases.map((base) => base.text));
const explained = [
  ...plain.map((cp) => text(cp)).filter((c) => !singles.has(c)),
  ...composed.filter((cp) => cp > 0xffff && !(cp >= 0x2f800 && cp <= 0x2fa1f)).map((cp) => text(cp)), // newer than some Pythons
  ...contractions.filter((item) => !isReordered(item)),
].map((item) => (byVariant(item, "") === 0 ? { tokens: [], variants: [], gapAt: -1, item } : tertiaries(item)));

// What falls between two known weights of an owner gets a number between theirs. Only texts that are equal one
// level above are ever compared there, so each such class is numbered by itself.
const spread = (owner, known, gaps, above, compare) => {
  const numbers = new Map();
  let next = 0;
  for (let at = -1; at < known; at++) {
    if (at >= 0) numbers.set(at, next++);
    let last = null;
    let rank = 0;
    let most = -1;
    for (const { item } of gaps.filter((gap) => gap.at === at).sort((a, b) => byVariant(a.item, b.item))) {
      if (last === null || above(last, item) !== 0) rank = 0;
      else if (compare(last, item) !== 0) rank += 1;
      numbers.set(item, next + rank);
      most = Math.max(most, rank);
      last = item;
    }
    next += most + 1;
  }
  return numbers;
};
const collected = new Map();
const collect = (owner, at, item) => collected.set(owner, [...(collected.get(owner) ?? []), { at, item }]);
for (const { tokens, variants, gapAt, item } of explained) {
  if (gapAt >= 0) collect(tokens[gapAt], variants[gapAt], item);
  for (const token of tokens) if (token.above) collect(token.base, token.above.form, item);
}
const numbers = new Map();
const numbered = (owner, known, above, compare) => {
  if (!numbers.has(owner)) numbers.set(owner, spread(owner, known, collected.get(owner) ?? [], above, compare));
  return numbers.get(owner);
};
const formNumbers = (base) => numbered(base, base.forms.length, byBase, byAccent);
const variantNumbers = (token) => numbered(token, token.variants.length, byAccent, byVariant);
const elements = ({ tokens, variants, gapAt, item }) =>
  tokens.flatMap((token, i) => {
    if (token.above) {
      const alike = collected.get(token.base).map((gap) => gap.item).filter((other) => byAccent(other, item) === 0);
      const tertiary = new Set(alike.filter((other) => byVariant(other, item) < 0)).size;
      return [[token.base.rank, 1, tertiary + 1], [0, marks.length + 1 + formNumbers(token.base).get(item), 1]];
    }
    // behind a gap nothing can be probed; the same token again ("a ligature of two") has the same weight again
    const isGap = gapAt >= 0 && i >= gapAt && token === tokens[gapAt];
    const tertiary = variantNumbers(token).get(isGap ? item : variants[i]) + 1;
    if (token.mark) return [[0, token.mark + 1, tertiary]];
    const form = formNumbers(token.base).get(token.form);
    return [[token.base.rank, 1, tertiary], ...(form === 0 ? [] : [[0, marks.length + 1 + form, 1]])];
  });

const table = new Map(explained.map((one) => [one.item, elements(one)]));
const single = new Map(bases.map((base) => [base.text, [[base.rank, 1, 1]]]));
for (const item of contractions.filter(isReordered))
  table.set(item, [...item].reverse().flatMap((character) => table.get(character) ?? single.get(character)));

stdout.write(
  JSON.stringify({
    source: `Intl.Collator("en-US"), ICU ${versions.icu}, CLDR ${versions.cldr}, Unicode ${versions.unicode}`,
    order: bases.map((base) => base.text.codePointAt(0)),
    entries: [...table].map(([item, found]) => [[...item].map((c) => c.codePointAt(0)), found]),
  }),
);
if (argv.includes("--figures"))
  console.error({ ignored: ignored.length, bases: bases.length, marks: marks.length, contractions: contractions.length, entries: table.size });
