// Waits for an answer of this site that is pending (202 with Retry-After). For front ends of your own: no page of
// this package loads it.
//
//   import { settled } from "https://auth.example.org/static/django_lazyauth/pending.js";
//   const state = await settled(() => fetch("https://auth.example.org/sso/corp.example"));

/**
 * Send the same request until its answer is not pending any more.
 *
 * @param {() => Promise<Response>} ask Sends the request.
 * @param {{signal?: AbortSignal, longest?: number}} options Milliseconds after which the pending answer is returned.
 * @returns {Promise<Response>} The last answer, whatever its status is.
 */
export async function settled(ask, { signal, longest = 60_000 } = {}) {
  const endsAt = Date.now() + longest;
  for (;;) {
    signal?.throwIfAborted();
    const response = await ask();
    const wait = seconds(response) * 1000;
    if (response.status !== 202 || Date.now() + wait > endsAt) return response;
    await pause(wait, signal);
  }
}

/** What the answer says, from 1 to 30. */
function seconds(response) {
  return Math.min(Math.max(Number(response.headers.get("Retry-After")) || 1, 1), 30);
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });

    function done() {
      signal?.removeEventListener("abort", stop);
      resolve();
    }

    function stop() {
      clearTimeout(timer);
      reject(signal.reason);
    }
  });
}
