// A headless Chromium whose complaints are failures, and buyers in it who go from page to page.
import { chromium } from 'playwright-core';
import { expect } from './shop.mjs';

/** The statuses of what is shown after a form that was refused, for what does not exist, and of declined cards. */
const EXPECTED_FAILURE = /Failed to load resource: the server responded with a status of (402|404|409|422)/;

/** A buyer's contact and address. */
export const ADA = {
  email: 'ada@example.com', firstName: 'Ada', lastName: 'Lovelace', address1: '1 Main St', zip: '10115',
  city: 'Berlin', country: 'DE',
};

/** Lets `act` open pages, with a function that takes the options of a browser's context. */
export async function browse({ base, stripe }, act) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Chromium has no sandbox for root, as whom containers tend to run.
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
  const buyers = [];
  const open = async (options = {}) => {
    const { language = 'en', ...others } = options;
    const size = { width: 1280, height: 900 };
    const context = await browser.newContext({ locale: language, viewport: size, reducedMotion: 'reduce', ...others });
    context.setDefaultTimeout(10_000);
    await context.route((url) => url.hostname !== '127.0.0.1', (route) => standIn(route, stripe));
    const buyer = new Buyer(context, await context.newPage(), base);
    buyers.push(buyer);
    return buyer;
  };
  try {
    const seen = await act(open);
    for (const { complaints } of buyers) expect(!complaints.length, `the browser complained: ${complaints.join('\n')}`);
    return seen;
  } catch (error) {
    error.stack += `\n${buyers.map(({ page, complaints }) => [page.url(), ...complaints].join('\n')).join('\n')}`;
    throw error;
  } finally {
    await browser.close();
  }
}

/** Answers what is asked of Stripe's servers from their double; nothing else leaves this machine. */
async function standIn(route, stripe) {
  const { hostname, pathname, search } = new URL(route.request().url());
  if (!stripe || !['js.stripe.com', 'api.stripe.com'].includes(hostname)) return route.abort();
  const response = await route.fetch({ url: stripe + pathname + search });
  return route.fulfill({ response });
}

export class Buyer {
  /** What the browser complained about: errors, and what a page's content security policy forbids. */
  complaints = [];

  constructor(context, page, base) {
    this.context = context;
    this.base = base;
    this.#watch(page);
    this.page = page;
  }

  #watch(page) {
    page.on('pageerror', ({ message }) => this.complaints.push(`error in the page: ${message}`));
    page.on('console', (message) => {
      const isComplaint = ['error', 'warning'].includes(message.type()) && !EXPECTED_FAILURE.test(message.text());
      if (isComplaint) this.complaints.push(message.text());
    });
  }

  /** Opens another tab. */
  async openTab() {
    const tab = new Buyer(this.context, await this.context.newPage(), this.base);
    tab.complaints = this.complaints;
    return tab;
  }

  /** Waits for a page with this heading. */
  async sees(heading) {
    await this.page.locator('h1', { hasText: heading }).waitFor();
  }

  async open(url, heading) {
    await this.page.goto(new URL(url, this.base).href);
    await this.sees(heading);
  }

  async fillIn(values) {
    for (const [name, value] of Object.entries(values)) {
      const field = this.page.locator(`[name="${name}"]`);
      if (name === 'country') await field.selectOption(value);
      else await field.fill(value);
    }
  }

  /** The button that submits the form with this action. */
  button(action) {
    return this.page.locator(`form:has([name=action][value=${action}]) button:not([name=remove])`);
  }

  /** Submits the form with this action, and waits for the heading of the next page. */
  async submit(action, heading) {
    await this.button(action).click();
    await this.sees(heading);
  }

  /** Goes from the first page of checkout to the last one. */
  async goToReview(url, contact = ADA) {
    await this.open(url, 'Contact and address');
    await this.fillIn(contact);
    await this.submit('contact', 'Delivery');
    await this.submit('delivery', 'Review and payment');
  }

  /** Chooses how to pay, by the provider's name. */
  choose(provider) {
    return this.page.locator(`#provider-${provider}`).check();
  }

  /** Enters the number of a card in the frame of Stripe's form, and pays. */
  async payByCard(number) {
    await this.page.frameLocator('#payment-element iframe').locator('#number').fill(number);
    await this.page.locator('#stripe button').click();
  }

  /** The total of the summary, as it is shown. */
  total() {
    return this.page.locator('#summary .total dd').innerText();
  }

  /** The global id of the order that is shown. */
  orderId() {
    return this.page.locator('[data-order]').getAttribute('data-order');
  }
}
