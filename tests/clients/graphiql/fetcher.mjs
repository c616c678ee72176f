// How GraphiQL's fetcher treats headers and answers, without a browser.
import assert from 'node:assert/strict';

globalThis.location = new URL('http://localhost/graphiql');
globalThis.BroadcastChannel = class { postMessage() {} };
const { fetcher } = await import('../../../src/http/graphiql/fetcher.js');

let sent;
const answerWith = (body, init) => {
  globalThis.fetch = async (_url, request) => {
    sent = request.headers;
    return new Response(body, init);
  };
};
const ask = (headers) => fetcher({ query: '{ shop { name } }' }, { headers });

// Two headers of one name would be joined to one that is not valid.
answerWith('{"data":{"shop":{"name":"Mercato"}}}');
assert.equal((await ask({ authorization: 'Bearer one', 'X-Other': '1' })).data.shop.name, 'Mercato');
assert.deepEqual(sent, { 'Content-Type': 'application/json', 'X-Other': '1', Authorization: 'Bearer one' });
assert.match((await ask({ AUTHORIZATION: 'Bearer <admin token>' })).errors[0].message, /Headers editor/);

answerWith('<html>Bad Gateway</html>', { status: 502, statusText: 'Bad Gateway' });
assert.match((await ask()).errors[0].message, /not JSON.*502 Bad Gateway/);
globalThis.fetch = async () => { throw new TypeError('Failed to fetch'); };
assert.match((await ask()).errors[0].message, /can't be asked: Failed to fetch/);
