// Whether pages can be read and used by everyone: in light and dark, on a phone, with a keyboard, and by
// axe's rules.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ADA } from './browser.mjs';
import { expect } from './shop.mjs';

const SIZES = [{ width: 1280, height: 900 }, { width: 390, height: 844 }];
/** What can be used with a keyboard. */
const CONTROLS = 'a[href], button, input:not([type=hidden]), select, summary';

const axe = await readFile(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

/** Presses Tab until every control was reached; each of them must show that it is. */
async function reachControls({ page }, name) {
  const count = await page.evaluate((controls) => {
    // The browser stops at the checked one of several radio buttons.
    const isStop = (one) => one.checkVisibility() && (one.type !== 'radio' || one.checked);
    const stops = [...document.querySelectorAll(controls)].filter(isStop);
    for (const stop of stops) stop.dataset.stop = 'open';
    return stops.length;
  }, CONTROLS);
  for (let presses = 0; presses < 2 * count + 5; presses += 1) {
    await page.keyboard.press('Tab');
    await page.evaluate(() => {
      const { activeElement: reached } = document;
      const { outlineStyle, outlineWidth } = getComputedStyle(reached);
      const isShown = outlineStyle !== 'none' && parseFloat(outlineWidth) > 0;
      if (reached.dataset.stop) reached.dataset.stop = isShown ? 'reached' : 'not shown';
    });
  }
  const missed = await page.evaluate(() => {
    const missed = [...document.querySelectorAll('[data-stop]:not([data-stop=reached])')];
    return missed.map((one) => `${one.dataset.stop}: ${one.outerHTML.slice(0, 200)}`);
  });
  expect(!missed.length, `not for the keyboard on ${name}: ${missed.join('\n')}`);
}

/** Checks the page that is shown. */
async function inspect(buyer, name, screenshots) {
  const { page } = buyer;
  const url = page.url();
  for (const size of SIZES) {
    await page.setViewportSize(size);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      const variant = `${name}, ${size.width} px, ${colorScheme}`;
      await page.evaluate(`${axe};0`);
      const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(', ')}`);
      expect(!found.length, `${variant}: ${found.join('\n')}`);
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(excess <= 0, `${variant} is ${excess} px too wide`);
      if (screenshots) {
        await page.screenshot({ path: join(screenshots, `${name}-${size.width}-${colorScheme}.png`), fullPage: true });
      }
    }
  }
  await reachControls(buyer, name);
  expect(page.url() === url, `${name} is left by Tab alone`);
}

/** Walks through all steps of checkout. */
export async function steps({ shop, open, screenshots }) {
  const buyer = await open();
  const show = (name) => inspect(buyer, name, screenshots);
  const [one, two, three] = await shop.variants(8);
  await buyer.open(await shop.createCart([one, 1], [two, 2], [three, 3]), 'Contact and address');
  await show('contact');
  await buyer.button('contact').click();
  await buyer.page.locator('[aria-invalid=true]').first().waitFor();
  await show('contact-refused');
  const address = { address1: '12 Harbour Street', zip: '04101', city: 'Portland', country: 'US' };
  await buyer.fillIn({ ...ADA, ...address });
  await buyer.submit('contact', 'Delivery');
  await show('delivery');
  await buyer.submit('delivery', 'Review and payment');
  await buyer.fillIn({ code: 'WELCOME10' });
  await buyer.submit('codes', 'Review and payment');
  await buyer.page.getByText('WELCOME10 applies').waitFor();
  await buyer.fillIn({ code: 'NOPE' });
  await buyer.button('codes').click();
  await buyer.page.getByText('NOPE does not apply').waitFor();
  await show('review');
}

/** Shows what may become of an order. */
export async function orders({ shop, open, screenshots }) {
  const buyer = await open();
  const show = (name) => inspect(buyer, name, screenshots);
  const [one, two] = await shop.variants(8);
  const place = async (provider, heading, card) => {
    const url = await shop.createCart([one, 1], [two, 2]);
    await buyer.goToReview(url);
    await buyer.choose(provider);
    if (card) await buyer.fillIn({ card });
    await buyer.submit('place', heading);
    return url;
  };
  await place('test', 'The payment was declined', 'tok_decline');
  await show('order-declined');
  await place('stripe', 'Please complete your payment');
  await buyer.page.frameLocator('#payment-element iframe').locator('#number').waitFor();
  await show('order-stripe');
  await place('manual', 'Thank you for your order');
  await show('order-manual');
  const url = await place('test', 'Thank you for your order', 'tok_ok');
  await show('order-paid');
  await shop.fulfill(await buyer.orderId());
  await buyer.sees('Your order is on its way');
  await show('order-sent');
  await buyer.open(url, 'This cart has been ordered');
  await show('notice-ordered');
  await buyer.open('/checkout/none?key=1', 'This page does not exist');
  await show('notice-missing');
}
