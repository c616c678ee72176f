// Uses GraphiQL as a developer would, in a headless Chromium: explores the schema, and goes
// through all tabs to a paid order, which a second window follows live. Fails on anything
// that the browser complains about.
//
//   node run.mjs <base URL of a demo shop> <staff's token> <folder for screenshots>
//
// Speaks the DevTools protocol over a pipe, so that there is nothing to install.
// CHROMIUM names the browser where it is not `chromium`.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const [base, token, screenshots] = process.argv.slice(2);
if (!screenshots) {
  console.error('usage: node run.mjs <base URL> <staff token> <folder for screenshots>');
  process.exit(1);
}

/** Starts Chromium; `send` calls a method, `on` receives every event. */
async function launch(on) {
  const profile = await mkdtemp(join(tmpdir(), 'graphiql-'));
  const flags = [
    '--headless', '--remote-debugging-pipe', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--window-size=1440,900', `--user-data-dir=${profile}`,
  ];
  // Chromium has no sandbox for root, as whom containers tend to run.
  if (process.getuid?.() === 0) flags.push('--no-sandbox');
  const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'];
  const browser = spawn(process.env.CHROMIUM ?? 'chromium', flags, { stdio });

  const waiting = new Map();
  let broken;
  const exited = new Promise((resolve) => {
    const end = (reason) => {
      broken ??= new Error(reason);
      for (const { reject } of waiting.values()) reject(broken);
      resolve();
    };
    browser.once('error', (error) => end(`cannot start Chromium: ${error.message}`));
    browser.once('exit', (code) => end(`Chromium ended with ${code}`));
  });
  browser.stdio[3].on('error', () => {});

  let buffer = '';
  browser.stdio[4].setEncoding('utf8').on('data', (chunk) => {
    const messages = (buffer + chunk).split('\0');
    buffer = messages.pop();
    for (const { id, result, error, ...event } of messages.map((text) => JSON.parse(text))) {
      if (id === undefined) { on(event); continue; }
      if (error) waiting.get(id)?.reject(new Error(error.message));
      else waiting.get(id)?.resolve(result);
      waiting.delete(id);
    }
  });

  let last = 0;
  const send = (method, params = {}, sessionId = undefined) =>
    new Promise((resolve, reject) => {
      if (broken) { reject(broken); return; }
      waiting.set(++last, { resolve, reject });
      browser.stdio[3].write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
    });
  const close = async () => {
    send('Browser.close').catch(() => {});
    await Promise.race([exited, sleep(5_000, undefined, { ref: false })]);
    browser.kill('SIGKILL');
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  return { send, close };
}

/** What an event tells of an error, in the page or in one of its workers. */
function complaint({ method, params }) {
  if (method === 'Runtime.exceptionThrown') {
    return params.exceptionDetails.exception?.description ?? params.exceptionDetails.text;
  }
  if (method === 'Log.entryAdded' && params.entry.level === 'error') {
    return `${params.entry.text} ${params.entry.url ?? ''}`;
  }
  if (method === 'Runtime.consoleAPICalled') {
    const text = params.args.map((arg) => arg.value ?? arg.description).join(' ');
    // Monaco only warns when a worker does not start.
    if (params.type === 'error' || /worker/i.test(text)) return text;
  }
  return undefined;
}

/** Opens an empty page; the methods act as a visitor. */
async function open({ send }) {
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  const call = (method, params) => send(method, params, sessionId);
  for (const domain of ['Page', 'Runtime', 'Log']) await call(`${domain}.enable`);
  await call('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: true });
  await call('Page.addScriptToEvaluateOnNewDocument', {
    source: `document.addEventListener('securitypolicyviolation', (event) =>
      console.error('content-security policy:', event.violatedDirective, event.blockedURI))`,
  });

  const visit = async (url) => {
    const { errorText } = await call('Page.navigate', { url });
    if (errorText) throw new Error(`${url} does not open: ${errorText}`);
  };
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await call('Runtime.evaluate', { expression, returnByValue: true });
    return exceptionDetails ? undefined : result.value;
  };
  /** Waits until the expression is truthy, and returns its value. */
  const wait = async (what, expression, seconds = 20) => {
    for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(100)) {
      const value = await evaluate(expression);
      if (value) return value;
    }
    throw new Error(`waited ${seconds} s in vain for ${what}`);
  };
  /** Clicks in the middle of the element that the expression yields, once it is on top. */
  const click = async (what, element) => {
    const place = await wait(what, `((element) => {
      const { x, y, width, height } = element.getBoundingClientRect();
      const place = { x: x + width / 2, y: y + height / 2 };
      return element.contains(document.elementFromPoint(place.x, place.y)) && place;
    })(${element})`);
    for (const type of ['mouseMoved', 'mousePressed', 'mouseReleased']) {
      await call('Input.dispatchMouseEvent', { type, ...place, button: 'left', clickCount: 1 });
    }
  };
  const type = (text) => call('Input.insertText', { text });
  // A page in the background is not drawn, and takes no clicks.
  const show = () => call('Page.bringToFront');
  const capture = async (name) => {
    await show();
    const { data } = await call('Page.captureScreenshot', { format: 'png' });
    await writeFile(join(screenshots, `${name}.png`), data, 'base64');
  };
  return { visit, wait, evaluate, click, type, capture, show };
}

const one = (selector) => `document.querySelector(${JSON.stringify(selector)})`;
const text = (selector) => `${one(selector)}?.textContent`;

/** The content of one of the four editors. They draw visible lines only: this asks the model. */
const content = (editor) =>
  `__MONACO.editor.getModels().find(({ uri }) => /${editor}/.test(uri.path)).getValue()`;
/** What an editor underlines in red. */
const markers = (editor) => `__MONACO.editor.getModelMarkers({})
  .filter(({ resource, severity }) => severity === 8 && resource.path.includes('${editor}'))
  .map(({ message }) => message)`;

async function visit(page) {
  await page.visit(new URL('/graphiql', base).href);
  await page.wait('a tab', `${text('.graphiql-query-editor .view-lines')}?.trim()`);
}

async function explore(page) {
  await visit(page);
  await page.click('the docs button', one('[aria-label="Show Documentation Explorer"]'));
  await page.wait('the schema', `${text('.graphiql-doc-explorer')}?.includes('Root Types')`);

  await page.click('the search field', one('.graphiql-doc-explorer-search-input'));
  await page.type('Product');
  const found = '[...document.querySelectorAll("[role=option]")]';
  await page.wait('the search results',
    `${found}.length && ${found}.every((option) => /product/i.test(option.textContent))`);
  await page.click('the type Product', `${found}.find((option) => option.textContent === 'Product')`);

  const docs = '.graphiql-doc-explorer-content';
  await page.wait('the title Product', `${text('.graphiql-doc-explorer-title')} === 'Product'`);
  await page.wait('the description of Product', `${text(`${docs} .graphiql-markdown-description`)}?.trim()`);
  await page.wait('the fields of Product',
    `[...document.querySelectorAll('${docs} .graphiql-doc-explorer-field-name')]
      .some((field) => field.textContent === 'title')`);
  await page.capture('explorer');
  await page.click('the docs button', one('[aria-label="Hide Documentation Explorer"]'));
}

/** Shows a tab, by the name of its operation. */
async function turnTo(page, tab) {
  const button = `[...document.querySelectorAll('.graphiql-tab-button')].find((one) => one.textContent === '${tab}')`;
  await page.evaluate(`${button}.scrollIntoView({ block: 'nearest', inline: 'nearest' })`);
  await page.click(`the tab ${tab}`, button);
  await page.wait(`the document of ${tab}`, `/^(query|mutation|subscription) ${tab}\\b/m.test(${content('operation')})`);
}

/** Waits until nothing in the tab is underlined: its document is checked a moment after it is shown. */
async function expectNoMarkers(page, tab) {
  await sleep(1_000);
  await page.wait(`${tab} to have no errors`, `${markers('')}.length === 0`)
    .catch(async (error) => { throw new Error(`${error.message}: ${await page.evaluate(markers(''))}`); });
}

async function answer(page, tab) {
  await page.click('the execute button', one('.graphiql-execute-button'));
  const answer = JSON.parse(await page.wait(`the answer of ${tab}`, content('response')));
  const wrong = answer.errors ?? Object.values(answer.data).flatMap((field) => field?.userErrors ?? []);
  if (wrong.length) throw new Error(`${tab} is answered with ${JSON.stringify(wrong, null, 2)}`);
  return answer.data;
}

/** Runs a tab as it is; gives what it is answered with. */
async function run(page, tab) {
  await turnTo(page, tab);
  await expectNoMarkers(page, tab);
  const data = await answer(page, tab);
  await page.capture(tab);
  return data;
}

/** Goes from a search to a paid order. */
async function buy(page) {
  const { products } = await run(page, 'Search');
  if (products.nodes[0]?.title !== 'Linen Notebook') throw new Error('the search finds something else');
  for (const tab of ['Collections', 'Product', 'NewCart', 'AddLines', 'Buyer', 'Discount', 'Delivery']) {
    await run(page, tab);
  }
  const { orderPlace: { order } } = await run(page, 'PlaceOrder');
  if (order.status !== 'PAID') throw new Error(`the order is ${order.status}`);
  return order.id;
}

/** Follows the order of another window, and has staff write notes until the first arrives. */
async function follow(page, order) {
  await visit(page);
  await turnTo(page, 'Follow');
  await expectNoMarkers(page, 'Follow');
  await page.click('the execute button', one('.graphiql-execute-button'));
  const note = `mutation { orderNoteAdd(orderId: "${order}", note: "Watched") { userErrors { message } } }`;
  for (let notes = 0; !(await page.evaluate(content('response'))); notes += 1) {
    if (notes === 20) throw new Error('nothing is heard of the order');
    await fetch(new URL('/graphql', base), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: note }),
    });
    await sleep(1_000);
  }
}

/** Does what staff do. Without the token there are errors; once it is there, in no tab. */
async function work(page, follower) {
  await turnTo(page, 'Orders');
  await page.wait('the errors of a tab of staff', `${markers('operation')}.length > 0`);
  await page.click('the execute button', one('.graphiql-execute-button'));
  await page.wait('what to do', `${content('response')}.includes('mercato serve')`);
  await page.capture('Orders-without-token');

  await page.click('the headers', `[...document.querySelectorAll('button')].find((one) => one.textContent === 'Headers')`);
  await page.evaluate(`(() => {
    const editor = __MONACO.editor.getEditors().find((one) => /request-headers/.test(one.getModel().uri.path));
    editor.setSelection(editor.getModel().findMatches('<admin token>', false, false, true, null, false)[0].range);
    editor.focus();
  })()`);
  await page.type(token);
  for (const tab of ['Orders', 'Timeline', 'Fulfill']) await run(page, tab);
  await follower.wait('what became of the order', `${content('response')}.includes('"FULFILLED"')`);
  await follower.capture('Follow');
  await page.show();
  for (const tab of ['Stock', 'Restock', 'NewProduct', 'Orders', 'Search']) await run(page, tab);
}

const complaints = [];
await mkdir(screenshots, { recursive: true });
const browser = await launch((event) => {
  const said = complaint(event);
  if (said) complaints.push(said.trim().slice(0, 300));
  if (event.method === 'Target.attachedToTarget' && event.params.targetInfo.type === 'worker') {
    browser.send('Runtime.enable', {}, event.params.sessionId).catch(() => {});
  }
});
let page;
try {
  page = await open(browser);
  await explore(page);
  const order = await buy(page);
  const follower = await open(browser);
  await follow(follower, order);
  await page.show();
  await work(page, follower);
  // What is still on its way, such as a worker that starts late, has its chance to fail.
  await sleep(1_000);
  if (complaints.length) throw new Error('the browser complained');
} catch (error) {
  console.error([`GraphiQL: ${error.message}`, ...complaints].join('\n'));
  await page?.capture('failure').catch(() => {});
  process.exitCode = 1;
} finally {
  await browser.close();
}
