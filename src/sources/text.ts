/**
 * The bytes of a text of `length` characters, one a character. Where a page reads the script in another encoding than UTF-8
 * (a classic script in a page that names none), the characters above 127 are other ones.
 */
export function bytesOf(text: string, length: number): Uint8Array<ArrayBuffer> {
  if (text.length !== length) {
    throw new Error('evenkeel: the script was not read as UTF-8; put <meta charset="utf-8"> into the page');
  }
  // Newer engines have the way over base64, which takes a tenth of the loop's 2 to 5 ms; Node that of its Buffer, which Deno
  // has too, but loads in 4 ms.
  const { fromBase64 } = Uint8Array as { fromBase64?(text: string): Uint8Array<ArrayBuffer> };
  if (fromBase64 !== undefined) return fromBase64(btoa(text));
  if (typeof globalThis.Buffer?.from === "function") return globalThis.Buffer.from(text, "latin1");
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
