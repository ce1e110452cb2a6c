// How a script here speaks with its test: lines of JSON, a question or the last word.
import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const write = (message) => process.stdout.write(JSON.stringify(message) + "\n");

/** Ask the test, as a rule to open a URL in a person's browser; returns what it answers. */
export async function ask(question, more = {}) {
  write({ ask: question, ...more });
  return JSON.parse((await lines.next()).value);
}

/** Say the last word and end. */
export function say(result) {
  write(result);
  process.exit(0);
}

/** What an error of a client says, for the test to look at. */
export function told(error) {
  return {
    code: error.code,
    error: error.error,
    description: error.error_description,
    status: error.status ?? error.response?.status,
    challenges: error.cause instanceof Array ? error.cause : undefined,
  };
}

/** Run *attempt*, which has to fail, and return how. */
export async function failure(attempt) {
  try {
    await attempt();
  } catch (error) {
    return told(error);
  }
  throw new Error("this should have failed");
}

/** Return the private key of a JWK, for signatures of *algorithm* (RFC 7518 §3.1, RFC 9864). */
export function signingKey(jwk, algorithm) {
  const parameters = {
    ES256: { name: "ECDSA", namedCurve: "P-256" },
    RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
    PS256: { name: "RSA-PSS", hash: "SHA-256" },
    Ed25519: { name: "Ed25519" },
  }[algorithm];
  return crypto.subtle.importKey("jwk", jwk, parameters, false, ["sign"]);
}
