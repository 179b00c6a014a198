// Prints addresses and how this Node's URL reads them: [[text, null | [href, origin, path, [[name, value], ...]]], ...].
// node urls.mjs COUNT [SEED] > ../data/web-urls.json
import { argv, stdout } from "node:process";
import { choices } from "./random.mjs";

const { random, below, pick } = choices(Number(argv[3] ?? 1));
const parts = [
  ..."http: https: HTTP: hTTps: ftp: ws: wss: file: mailto: data: javascript: blob: foo: x+y.z-1: localhost: // / \\ \\\\ /// @ @@ : :: :@".split(" "),
  ..."user user:pw u%40 %20 %2e %2E%2e . .. ... /./ /../ /.%2e/ ? ?? # ## & = user_code client_id=app_1 [ ]".split(" "),
  ..."[::1] [::] [1::2] [::ffff:1.2.3.4] [1:2:3:4:5:6:7:8] [::1 [1:0:0:2::3] [0:0:1::] [::1%25eth0] [fe80::1%eth0] [01::] [12345::] [::1.2.3] [::01.2.3.4]".split(" "),
  ..."127.0.0.1 127.1 0x7f.1 0177.0.0.1 2130706433 1.2.3.256 1.2.3.4.5 1.2.3.4. 0x 0xg 08 1_0.1 256 4294967295 4294967296 1..2 1. a.1 a.0x1".split(" "),
  ..."issuer.example ISSUER.Example issuer.example. ph.example localhost a xn-- xn--a xn--fa-hia xn--nxasmq6b XN--FA-HIA -a a- a--b".split(" "),
  ..."faß.de bücher пример 例え 。 ． ａ ０ ☃ 😀 אב ab1 א1 é 日 ８０".split(" "),
  "\u00ad", "\u200b", "\u200d", "\u0301", "\u0080", "\u00a0", "\ufeff", "\u2028", "\ud800", "\udc00", "\u1e9e",
  ..."_ ~ ! $ ' \" ( ) * + , ; < > ^ ` { | } % %% %zz %00 %41 %C3%A9 %ff %2f %5c %40 %3a %3F %23".split(" "),
  "", "a b", "\t", "\n", "\r", "\0", "\u0001", "\u001f", "\u007f",
  ..."80 443 8443 65535 65536 0 00080 +80 oidc/device /oidc/device /oidc/device/ /x/../oidc/device /OIDC/device C: c| /C:/ test".split(" "),
];
const several = (most) => Array.from({ length: below(most + 1) }, () => pick(parts)).join("");
const shaped = () =>
  pick(["http:", "https:", "http:", "https:", "HTTPS:", "ws:", "foo:", "ftp:", "file:"]) +
  pick(["//", "//", "//", "//", "/", "", "\\\\", "///", "/\\"]) +
  pick(["", "", "", "user@", "u:p@", "u@v@", ":@", "@", "a b:c#@"]) +
  pick(parts) + several(1) +
  pick(["", "", "", ":80", ":443", ":8443", ":", ":x", ":99999"]) +
  pick(["", "/", "/", "\\", "?", "#"]) + several(3);
const target = () => {
  let text = "https://issuer.example/oidc/device?user_code=AB&client_id=app_x";
  for (let n = 1 + below(3); n > 0; n--) {
    const at = below(text.length + 1);
    const put = pick([() => pick(parts), () => "", () => String.fromCodePoint(below(0x180))])();
    text = text.slice(0, at) + put + text.slice(at + (put ? below(2) : 1 + below(3)));
  }
  return text;
};

const found = Array.from({ length: Number(argv[2]) }, () => {
  const text = pick([() => several(7), shaped, shaped, target])();
  try {
    const url = new URL(text);
    return [text, [url.href, url.origin, url.pathname, [...url.searchParams]]];
  } catch {
    return [text, null];
  }
});
stdout.write(`[\n${found.map((one) => JSON.stringify(one)).join(",\n")}\n]\n`);
