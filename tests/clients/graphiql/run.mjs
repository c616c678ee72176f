// Uses GraphiQL as a developer would, in a headless Chromium, and fails on anything
// that the browser complains about.
//
//   node run.mjs <base URL> <text expected in the response> <screenshot.png>
//
// Speaks the DevTools protocol over a pipe, so that there is nothing to install.
// CHROMIUM names the browser where it is not `chromium`.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const [base, expected, screenshot] = process.argv.slice(2);
if (!screenshot) {
  console.error('usage: node run.mjs <base URL> <expected text> <screenshot.png>');
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
  const capture = async (path) => {
    const { data } = await call('Page.captureScreenshot', { format: 'png' });
    await writeFile(path, data, 'base64');
  };
  return { visit, wait, click, type, capture };
}

const one = (selector) => `document.querySelector(${JSON.stringify(selector)})`;
const text = (selector) => `${one(selector)}?.textContent`;

async function explore(page) {
  await page.visit(new URL('/graphiql', base).href);
  await page.wait('the first example', `${text('.graphiql-query-editor')}?.includes('Mercato')`);
  await page.click('the docs button', one('[aria-label="Show Documentation Explorer"]'));
  await page.wait('the schema', `${text('.graphiql-doc-explorer')}?.includes('Root Types')`);

  await page.click('the execute button', one('.graphiql-execute-button'));
  // The editor draws visible lines only: ask its model for the whole response.
  const response = `__MONACO.editor.getModels().find(({ uri }) => /response/.test(uri.path)).getValue()`;
  const answer = await page.wait('a response', response);
  if (!answer.includes(expected)) {
    throw new Error(`the response lacks ${JSON.stringify(expected)}:\n${answer}`);
  }
  await page.wait('the response to be drawn', text('.result-window .view-lines'));

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

  // What is still on its way, such as a worker that starts late, has its chance to fail.
  await sleep(1_000);
}

const complaints = [];
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
  if (complaints.length) throw new Error('the browser complained');
  await page.capture(screenshot);
} catch (error) {
  console.error([`GraphiQL: ${error.message}`, ...complaints].join('\n'));
  await page?.capture(screenshot).catch(() => {});
  process.exitCode = 1;
} finally {
  await browser.close();
}
