// From a cart to an order that is paid and sent.
import { setTimeout as sleep } from 'node:timers/promises';
import { ADA } from './browser.mjs';
import { expect } from './shop.mjs';

const VISA = '4242 4242 4242 4242';
const DECLINED = '4000 0000 0000 0002';
const WITH_3D_SECURE = '4000 0025 0000 3155';

/** Pays by a card that needs 3-D Secure; the page follows the order until it is sent. */
export async function card({ shop, open, mug }) {
  const buyer = await open();
  await buyer.open(await shop.createCart([mug, 2]), 'Contact and address');
  await buyer.fillIn(ADA);
  await buyer.submit('contact', 'Delivery');
  const before = await buyer.total();
  await buyer.page.locator('#option-express').check();
  await buyer.page.waitForFunction(
    (old) => document.querySelector('#summary .total dd').innerText !== old, before, { polling: 50 });
  const total = await buyer.total();
  await buyer.submit('delivery', 'Review and payment');
  expect(await buyer.total() === total, 'the total that follows the chosen delivery is right');
  await buyer.fillIn({ code: 'ten' });
  await buyer.submit('codes', 'Review and payment');
  await buyer.page.getByText('TEN applies.').waitFor();
  await buyer.choose('stripe');
  await buyer.submit('place', 'Please complete your payment');
  await buyer.payByCard(WITH_3D_SECURE);
  await buyer.page.getByRole('button', { name: 'complete' }).click();
  await buyer.sees('Thank you for your order');
  const order = await buyer.orderId();
  // The page asks just before the order is sent, and is told that it was before it has the answer.
  await buyer.page.route('**/orders/**', async (route) => {
    const response = await route.fetch();
    await shop.fulfill(order);
    await sleep(1_000);
    await route.fulfill({ response });
  }, { times: 1 });
  await buyer.page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  // Sooner than the page asks without being told.
  await buyer.page.locator('h1', { hasText: 'Your order is on its way' }).waitFor({ timeout: 8_000 });
  await buyer.page.getByRole('link', { name: 'Follow the shipment' }).waitFor();
  return { order };
}

/** Tries a card that is declined, fails 3-D Secure, and pays by a third card. */
export async function anotherCard({ shop, open, mug }) {
  const buyer = await open();
  await buyer.goToReview(await shop.createCart([mug, 1]));
  await buyer.choose('stripe');
  await buyer.submit('place', 'Please complete your payment');
  const order = await buyer.orderId();
  await buyer.payByCard('4242');
  await buyer.page.getByText('Your card number is incomplete.').waitFor();
  const isTold = async (response) => {
    const isAsked = response.url().includes('/orders/') && response.request().resourceType() === 'fetch';
    return isAsked && (await response.text()).includes('data-state="declined');
  };
  await Promise.all([buyer.page.waitForResponse(isTold), buyer.payByCard(DECLINED)]);
  // The page keeps the form, and what was entered in it.
  await sleep(300);
  await buyer.page.getByText('Your card was declined.').waitFor();
  await buyer.payByCard(WITH_3D_SECURE);
  await buyer.page.getByRole('button', { name: 'fail' }).click();
  await buyer.sees('The payment was declined');
  await buyer.payByCard(VISA);
  await buyer.sees('Thank you for your order');
  expect(await buyer.orderId() === order, 'it is still the same order');
  return { order };
}

/** Pays a part with a gift card, and the rest by card. */
export async function giftCard({ shop, open, mug, code }) {
  const buyer = await open();
  await buyer.goToReview(await shop.createCart([mug, 2]));
  await buyer.fillIn({ gift_card: code });
  await buyer.submit('gift_cards', 'Review and payment');
  await buyer.page.locator('#summary').getByText('Gift cards and store credit').waitFor();
  await buyer.choose('stripe');
  await buyer.submit('place', 'Please complete your payment');
  await buyer.payByCard(VISA);
  await buyer.sees('Thank you for your order');
  return { order: await buyer.orderId() };
}

/** Approves the payment at PayPal, and comes back. */
export async function paypal({ shop, open, mug }) {
  const buyer = await open();
  await buyer.goToReview(await shop.createCart([mug, 1]));
  await buyer.choose('paypal');
  await buyer.submit('place', 'Thank you for your order');
  expect(!buyer.page.url().includes('PayerID'), 'what the provider appended to the URL is gone');
  return { order: await buyer.orderId() };
}

/** Orders without JavaScript, in German, on a phone. */
export async function withoutJavaScript({ shop, open, mug }) {
  const buyer = await open({ language: 'de-DE', viewport: { width: 390, height: 844 }, javaScriptEnabled: false });
  await buyer.open(await shop.createCart([mug, 1]), 'Kontakt und Adresse');
  await buyer.fillIn({ ...ADA, email: 'ada' });
  await buyer.submit('contact', 'Kontakt und Adresse');
  await buyer.page.locator('#email[aria-invalid=true]').waitFor();
  await buyer.fillIn({ email: ADA.email });
  await buyer.submit('contact', 'Versand');
  await buyer.submit('delivery', 'Prüfen und bezahlen');
  await buyer.choose('manual');
  await buyer.submit('place', 'Vielen Dank für Ihre Bestellung');
  return { order: await buyer.orderId() };
}

/** Orders with the keyboard only. */
export async function keyboard({ shop, open, mug }) {
  const buyer = await open();
  const { keyboard: keys } = buyer.page;
  const tabTo = async (selector) => {
    for (let presses = 0; presses < 60; presses += 1) {
      await keys.press('Tab');
      if (await buyer.page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
    }
    throw new Error(`${selector} can't be reached with the keyboard`);
  };
  await buyer.open(await shop.createCart([mug, 1]), 'Contact and address');
  for (const [name, value] of Object.entries(ADA)) {
    await tabTo(`[name="${name}"]`);
    if (name === 'country') await keys.type('Germ');
    else await keys.type(value);
  }
  // Without the script's help, Enter in a field submits the form.
  await keys.press('Shift+Tab');
  await keys.press('Enter');
  await buyer.sees('Delivery');
  await tabTo('[name=option]');
  await keys.press('ArrowDown');
  await tabTo('button');
  await keys.press('Enter');
  await buyer.sees('Review and payment');
  await tabTo('[name=provider]');
  await tabTo('form:has([name=action][value=place]) button');
  await keys.press('Space');
  await buyer.sees('Thank you for your order');
  return { order: await buyer.orderId() };
}
