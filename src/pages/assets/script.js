// What the pages do with JavaScript beyond what they do without: a form is sent once, countries have
// their names in the page's language, totals follow the chosen delivery, Stripe's form appears, and
// an order's page follows the order.
'use strict';

for (const form of document.querySelectorAll('form[data-once]')) {
  form.addEventListener('submit', (event) => {
    const button = form.querySelector('button:not(.plain)');
    if (button.getAttribute('aria-disabled') === 'true') event.preventDefault();
    button.setAttribute('aria-disabled', 'true');
  });
}

// A page that the browser has kept is shown as it was left.
window.addEventListener('pageshow', () => {
  for (const button of document.querySelectorAll('button[aria-disabled]')) button.removeAttribute('aria-disabled');
});

for (const problem of document.querySelectorAll('.problem[tabindex]')) problem.focus();

for (const select of document.querySelectorAll('select[data-countries]')) {
  const language = document.documentElement.lang;
  if (language === 'en' || !window.Intl?.DisplayNames) continue;
  const names = new Intl.DisplayNames([language], { type: 'region' });
  const chosen = select.value;
  for (const option of select.options) option.textContent = names.of(option.value) ?? option.textContent;
  select.append(...[...select.options].sort((a, b) => a.textContent.localeCompare(b.textContent, language)));
  select.value = chosen;
}

async function load(url, options) {
  const response = await fetch(url, { cache: 'no-store', ...options });
  return new DOMParser().parseFromString(await response.text(), 'text/html');
}

for (const form of document.querySelectorAll('form[data-live]')) {
  let latest = 0;
  form.addEventListener('change', async () => {
    const mine = ++latest;
    try {
      const page = await load(form.getAttribute('action'), { method: 'POST', body: new URLSearchParams(new FormData(form)) });
      if (mine !== latest) return;
      for (const id of ['summary', 'summary-link']) {
        const part = page.getElementById(id);
        if (part) document.getElementById(id).replaceWith(document.adoptNode(part));
      }
    } catch {
      // The next page shows the totals.
    }
  });
}

const order = document.querySelector('[data-order]');
if (order) {
  follow(order.dataset);
  const form = document.getElementById('stripe');
  if (form) showStripe(form);
}

/** Loads the page again when the order has changed. */
function follow({ order: id, token, state, waiting }) {
  let delay = waiting === 'true' ? 2000 : 10000;
  let timer;
  let isChecking = false;
  let isDue = false;

  async function check() {
    // An answer that is on its way may be older than what has happened.
    isDue = true;
    if (isChecking) return;
    isChecking = true;
    while (isDue) {
      isDue = false;
      await compare();
    }
    isChecking = false;
  }

  async function compare() {
    const url = new URL(location.href);
    url.searchParams.delete('forward');
    try {
      const page = await load(url);
      const found = page.querySelector('[data-order]');
      // After a declined card, the buyer is about to enter another one in the same form.
      const secret = page.getElementById('stripe')?.dataset.secret;
      const isFormKept = secret && secret === document.getElementById('stripe')?.dataset.secret;
      if (found && found.dataset.state !== state && !isFormKept) location.replace(url);
    } catch {
      // Tried again later.
    }
  }

  function poll() {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      if (!document.hidden) await check();
      delay = Math.min(delay * 1.5, 60000);
      poll();
    }, delay);
  }

  poll();
  document.addEventListener('visibilitychange', () => document.hidden || check());

  let socket;
  try {
    socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/graphql`, 'graphql-transport-ws');
  } catch {
    return;
  }
  const send = (message) => socket.send(JSON.stringify(message));
  socket.addEventListener('open', () => send({ type: 'connection_init' }));
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === 'ping') send({ type: 'pong' });
    if (message.type === 'connection_ack') {
      const query = 'subscription($id: ID!, $token: String) { orderUpdated(id: $id, token: $token) { cursor } }';
      send({ id: '1', type: 'subscribe', payload: { query, variables: { id, token } } });
      // What has happened before the subscription began, which takes a moment.
      check();
      setTimeout(check, 2000);
    }
    if (message.type === 'next') check();
  });
}

/** Shows Stripe's Payment Element, and confirms the payment with it. */
function showStripe(form) {
  const problem = document.getElementById('stripe-problem');
  const { key, secret, failed } = form.dataset;
  if (!window.Stripe) {
    form.hidden = false;
    problem.textContent = failed;
    return;
  }
  const stripe = window.Stripe(key, { locale: document.documentElement.lang });
  const isDark = matchMedia('(prefers-color-scheme: dark)').matches;
  const elements = stripe.elements({ clientSecret: secret, appearance: { theme: isDark ? 'night' : 'stripe' } });
  elements.create('payment').mount('#payment-element');
  form.hidden = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const button = form.querySelector('button');
    if (button.getAttribute('aria-disabled') === 'true') return;
    button.setAttribute('aria-disabled', 'true');
    problem.textContent = '';
    const { error } = await stripe.confirmPayment({
      elements,
      confirmParams: { return_url: form.dataset.return },
    });
    // Without an error, the browser is on its way to the return URL.
    if (error) problem.textContent = error.message ?? failed;
    button.removeAttribute('aria-disabled');
  });
}
