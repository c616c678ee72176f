// A visitor of a storefront: a headless Chromium that does one step after the other, keeps a screenshot
// of each, and says what went wrong. And what a storefront leaves to its shop: placing the order.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';

/** Fails with the message unless the condition holds. */
export function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/**
 * Runs `tour` with a page and a function that does a step of it; ends the process with 1 if one fails.
 * `base` is the storefront, `screenshots` the folder for screenshots, `isKnown` tells of the address of an
 * answer that failed whether that is the storefront's own affair.
 */
export async function visit({ base, screenshots, isKnown = () => false }, tour) {
  await mkdir(screenshots, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Chromium has no sandbox for root, as whom containers tend to run.
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
  // The certificate is of an authority that only this test knows.
  const context = await browser.newContext({ baseURL: base, ignoreHTTPSErrors: true });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', ({ message }) => {
    // React says that it draws a part of the page anew, because something changed before it had taken
    // it over; it happens to quick visitors of slow machines.
    if (!/React error #421/.test(message)) complaints.push(`error in the page: ${message}`);
  });
  page.on('response', (response) => {
    const isOwn = response.url().startsWith(base) && !isKnown(response.url());
    if (isOwn && response.status() >= 500) complaints.push(`${response.status()} from ${response.url()}`);
  });

  let count = 0;
  const step = async (name, act) => {
    const screenshot = join(screenshots, `${String(++count).padStart(2, '0')}-${name.replace(/\W+/g, '-')}.png`);
    const start = Date.now();
    try {
      await act();
      if (complaints.length) throw new Error('the browser complained');
      console.log(`ok    ${name} (${Date.now() - start} ms)`);
    } catch (error) {
      console.log([`FAIL  ${name}: ${error.message}`, ...complaints.splice(0)].join('\n      '));
      process.exitCode = 1;
    }
    await page.screenshot({ path: screenshot }).catch(() => {});
  };
  try {
    await tour({ page, context, step });
  } finally {
    await browser.close();
  }
}

/** Waits until all images in sight are there; a storefront that shows none fails. */
export async function expectImages(page) {
  // Scripts may not run by text under a storefront's content-security policy: poll from here.
  for (const end = Date.now() + 20_000; ; await sleep(200)) {
    const { loaded, missing } = await page.evaluate(() => {
      const inSight = [...document.images].filter((image) => {
        const { top, bottom, left, right } = image.getBoundingClientRect();
        return bottom > top && bottom > 0 && top < innerHeight && right > 0 && left < innerWidth;
      });
      const isLoaded = (image) => image.complete && image.naturalWidth > 0;
      return {
        loaded: inSight.filter(isLoaded).length,
        missing: inSight.filter((image) => !isLoaded(image)).map((image) => image.currentSrc || image.src),
      };
    });
    if (loaded > 0 && missing.length === 0) return;
    expect(Date.now() < end, `images don't show: ${missing.join(', ') || 'there are none'}`);
  }
}

/** Asks the shop itself; `request` is that of the visitor's browser, which trusts its certificate. */
export async function ask(request, api, query, variables) {
  const { data, errors } = await (await request.post(api, { data: { query, variables } })).json();
  expect(!errors, `the shop refuses: ${JSON.stringify(errors)}`);
  return data;
}

/** Waits until what `holds` asks for is so. */
export async function until(what, holds) {
  for (const end = Date.now() + 15_000; !await holds(); await sleep(200)) {
    expect(Date.now() < end, `waited in vain for ${what}`);
  }
}

/** Waits until the shop knows of so many pieces in a cart: pages show what they expect before it does. */
export function untilShopHas(quantity, request, api, cartId) {
  return until(`a cart of ${quantity} in the shop`, async () => {
    const document = 'query($id: ID!) { cart(id: $id) { totalQuantity } }';
    const { cart } = await ask(request, api, document, { id: await cartId() });
    return cart?.totalQuantity === quantity;
  });
}

/** Orders what is in a cart, as a shop's checkout would, and returns the order's name. */
export async function placeOrder(request, api, cartId) {
  const place = { firstName: 'Ada', lastName: 'Byron', address1: '12 Harbour Street', city: 'Portland', zip: '04101' };
  const delivery = await ask(request, api, `mutation($cart: ID!, $addresses: [CartSelectableAddressInput!]!) {
    cartDeliveryAddressesAdd(cartId: $cart, addresses: $addresses) {
      cart { deliveryGroups(first: 1) { nodes { id deliveryOptions { handle } } } }
      userErrors { field message }
    }
  }`, { cart: cartId, addresses: [{ selected: true, address: { deliveryAddress: { ...place, countryCode: 'US' } } }] });
  const [group] = delivery.cartDeliveryAddressesAdd.cart?.deliveryGroups.nodes ?? [];
  expect(group?.deliveryOptions.length, `nothing delivers: ${JSON.stringify(delivery)}`);
  const option = group.deliveryOptions[0].handle;
  const chosen = await ask(request, api, `mutation($cart: ID!, $options: [CartSelectedDeliveryOptionInput!]!) {
    cartSelectedDeliveryOptionsUpdate(cartId: $cart, selectedDeliveryOptions: $options) {
      cart { cost { totalAmount { amount } } } userErrors { field message }
    }
  }`, { cart: cartId, options: [{ deliveryGroupId: group.id, deliveryOptionHandle: option }] });
  const total = chosen.cartSelectedDeliveryOptionsUpdate.cart.cost.totalAmount.amount;
  const placed = await ask(request, api, `mutation($input: OrderPlaceInput!) {
    orderPlace(input: $input) { order { name status } userErrors { field message code } }
  }`, { input: { cartId, email: 'ada@shopper.example', expectedTotal: total, deliveryOptionHandle: option,
    shippingAddress: { ...place, country: 'United States' }, payment: { provider: 'test', token: 'tok_visitor' } } });
  const { order, userErrors } = placed.orderPlace;
  expect(order, `the order was not placed: ${JSON.stringify(userErrors)}`);
  return order.name;
}
