// How GraphiQL's tabs reach the server, in both builds of the page: queries by HTTP,
// subscriptions by WebSocket, one set of headers for both.
//
// Variables may refer to what the server answered before: "<cartCreate.cart.id>" is that
// field of the last answer to `cartCreate`. Answers are shared with other windows of the
// page and kept in memory alone: ids of carts and tokens of orders are secrets.
const endpoint = new URL('/graphql', location.href);
const TOKEN = '<admin token>';

/** The last answer of every root field. */
const answers = {};
const windows = new BroadcastChannel('mercato-answers');
windows.onmessage = ({ data }) => {
  if (data) Object.assign(answers, data);
  else windows.postMessage(answers);
};
windows.postMessage(null);

/** The staff's `Authorization` that was entered last, in whichever tab. */
let authorization;

/** What `onEditHeaders` of GraphiQL calls. A token changes what the schema shows. */
export function onEditHeaders(text) {
  const entered = splitHeaders(parse(text)).authorization;
  if (!/^Bearer [^<>\s]+$/i.test(entered ?? '') || entered === authorization) return;
  authorization = entered;
  clearTimeout(onEditHeaders.pause);
  onEditHeaders.pause = setTimeout(refetchSchema, 300);
}

/** GraphiQL listens for its keyboard shortcut here, and offers the page nothing else. */
function refetchSchema() {
  dispatchEvent(new KeyboardEvent('keydown', { key: 'R', ctrlKey: true, shiftKey: true }));
}

/** What GraphiQL runs operations and fetches the schema with. */
export async function fetcher({ query, variables, operationName }, options) {
  const isOfSchema = operationName === 'IntrospectionQuery';
  let headers;
  let request;
  try {
    headers = fillHeaders(options?.headers ?? {}, isOfSchema);
    request = { query, operationName, variables: fill(variables) };
  } catch ({ message }) {
    // GraphiQL would show the stack of an error that is thrown.
    return { errors: [{ message }] };
  }
  if (isSubscription(options?.documentAST, operationName)) return follow(request, headers);

  const answer = await post(request, headers);
  if (!isOfSchema && answer.data) {
    Object.assign(answers, answer.data);
    windows.postMessage(answer.data);
  }
  return answer;
}

/** What the server answers, or why it does not. */
async function post(request, headers) {
  const failed = (message) => ({ errors: [{ message }] });
  let response;
  let text;
  try {
    response = await fetch(endpoint, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify(request),
    });
    text = await response.text();
  } catch ({ message }) {
    return failed(`The server can't be asked: ${message}`);
  }
  const answer = parse(text);
  if (answer && typeof answer === 'object') return answer;
  const status = `${response.status} ${response.statusText}`.trim();
  return failed(`The answer is not JSON, so it does not come from the shop (status ${status}): `
    + 'see whether the shop runs, and what the proxy in front of it says.');
}

/** The schema is that of the last token in every tab, so that tabs of staff stay valid. */
function fillHeaders(headers, isOfSchema) {
  const { authorization: entered, others } = splitHeaders(headers);
  const isLeftOpen = entered?.includes(TOKEN);
  if (isLeftOpen && !authorization && !isOfSchema) {
    throw new Error('This is for staff: in the Headers editor, put the token that '
      + `\`mercato serve\` printed in place of ${TOKEN}.`);
  }
  const isTaken = isLeftOpen || (isOfSchema && !entered);
  const used = isTaken ? authorization : entered;
  return used ? { ...others, Authorization: used } : others;
}

/** `Authorization`, in whatever case it is written, and the other headers. */
function splitHeaders(headers) {
  const all = Object.entries(headers ?? {});
  const isIt = ([name]) => name.toLowerCase() === 'authorization';
  const entered = all.findLast(isIt)?.[1];
  return {
    authorization: typeof entered === 'string' ? entered : undefined,
    others: Object.fromEntries(all.filter((header) => !isIt(header))),
  };
}

function fill(value) {
  if (Array.isArray(value)) return value.map(fill);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, fill(part)]));
  }
  const path = typeof value === 'string' && value.match(/^<(\w+(?:\.\w+)+)>$/)?.[1];
  if (!path) return value;
  const found = path.split('.').reduce((part, name) => part?.[name], answers);
  if (found !== undefined && found !== null) return found;
  const [field] = path.split('.');
  const why = field in answers ? 'its last answer has no such value' : 'no tab has run it yet';
  throw new Error(`${value} comes from the answer to \`${field}\`, but ${why}: `
    + `run a tab with \`${field}\` first.`);
}

function isSubscription(document, name) {
  return document?.definitions.some((part) =>
    part.operation === 'subscription' && (!name || part.name?.value === name)) ?? false;
}

/** A subscription in the protocol `graphql-transport-ws`, as an observable. */
const follow = (request, headers) => ({
  subscribe({ next, error, complete }) {
    const url = new URL(endpoint);
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url, 'graphql-transport-ws');
    const send = (message) => socket.send(JSON.stringify(message));
    socket.onopen = () => send({ type: 'connection_init', payload: headers });
    socket.onmessage = ({ data }) => {
      const { type, payload } = JSON.parse(data);
      if (type === 'connection_ack') send({ id: '1', type: 'subscribe', payload: request });
      else if (type === 'ping') send({ type: 'pong' });
      else if (type === 'next') next(payload);
      else if (type === 'error') next({ errors: payload });
      if (type === 'error' || type === 'complete') socket.close(1000);
    };
    socket.onclose = ({ code, reason }) => {
      if (code === 1000) complete();
      else error(new Error(`The connection was closed: ${code} ${reason}`.trim()));
    };
    return {
      unsubscribe() {
        socket.onclose = null;
        socket.close(1000);
      },
    };
  },
});

function parse(text) {
  try { return JSON.parse(text); } catch { return undefined; }
}
