// What happens to buyers who do things twice or go back, and to carts that change meanwhile.
import { expect } from './shop.mjs';

const THANKS = 'Thank you for your order';

/** Clicks twice, goes back, and has the same cart in two tabs. */
export async function twice({ shop, open, mug }) {
  const buyer = await open();
  const url = await shop.createCart([mug, 1]);
  await buyer.goToReview(url);
  const tab = await buyer.openTab();
  await tab.open(url, 'Review and payment');
  for (const one of [buyer, tab]) await one.choose('test');
  await buyer.button('place').dblclick();
  await buyer.sees(THANKS);
  const order = await buyer.orderId();
  await tab.button('place').click();
  await tab.sees(THANKS);
  expect(await tab.orderId() === order, 'both tabs lead to the same order');

  await buyer.page.goBack();
  await buyer.sees('This cart has been ordered');
  await buyer.page.locator('main a.button').click();
  await buyer.sees(THANKS);
  expect(await buyer.orderId() === order, 'the way back leads to the same order');

  // The policy is in force in this browser, and nothing else has offended against it.
  await buyer.page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.isOpen = true';
    document.body.append(script);
  });
  expect(!await buyer.page.evaluate(() => window.isOpen), 'a script of a stranger does not run');
  const complaints = buyer.complaints.splice(0);
  expect(complaints.length === 1 && /Content Security Policy/i.test(complaints[0]), complaints.join('\n'));
  return { order };
}

/** A price changes, and another buyer takes what was in the cart. */
export async function changes({ shop, open, product, mug, bowl }) {
  const buyer = await open();
  await buyer.goToReview(await shop.createCart([mug, 2], [bowl, 1]));
  await buyer.choose('test');
  await shop.changePrice(product, mug, '12');
  await buyer.submit('place', 'Review and payment');
  await buyer.page.getByText('The total has changed.').waitFor();

  const other = await open();
  await other.goToReview(await shop.createCart([mug, 1]));
  await other.choose('test');
  await other.submit('place', THANKS);
  await buyer.choose('test');
  await buyer.submit('place', 'Review and payment');
  await buyer.page.getByText('Something in your cart was sold in the meantime.').waitFor();
  await buyer.page.getByText('Only 1 available').waitFor();
  await buyer.submit('fix', 'Review and payment');
  await buyer.choose('test');
  await buyer.submit('place', THANKS);
  return { order: await buyer.orderId() };
}

/** Comes back after the cart has expired. */
export async function expired({ open, url }) {
  const buyer = await open();
  await buyer.open(url, 'This page does not exist');
  await buyer.page.getByText('the cart has expired').waitFor();
}
