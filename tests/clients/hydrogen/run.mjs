// Shops in Hydrogen's skeleton as a buyer would, and exits with 1 if a step fails.
//
//   node run.mjs <base URL of the storefront> <GraphQL URL of the shop> <folder for screenshots>
//
// Visits every page but search, blogs and account.
import { ask, expect, expectImages, placeOrder, untilShopHas, visit } from '../visitor.mjs';

const [base, api, screenshots] = process.argv.slice(2);
if (!screenshots) {
  console.error('usage: node run.mjs <storefront> <shop\'s GraphQL> <folder for screenshots>');
  process.exit(1);
}

await visit({ base, screenshots }, async ({ page, context, step }) => {
  const cookie = async () => (await context.cookies(base)).find(({ name }) => name === 'cart')?.value;
  const main = page.locator('main:not(aside main)');
  const products = main.locator('a[href*="/products/"]');
  const drawer = page.getByLabel('Cart drawer');
  const title = (name) => main.getByRole('heading', { level: 1, name }).waitFor();
  const open = async (path) => {
    const response = await page.goto(path, { waitUntil: 'networkidle' });
    expect(response.ok(), `${path} answers ${response.status()}`);
    // What is clicked before React has taken over the whole page, it draws from what it read before.
    await page.waitForTimeout(1_000);
  };
  const cartId = async () => `gid://shopify/Cart/${decodeURIComponent(await cookie())}`;
  const cartShows = async (quantity) => {
    await untilShopHas(quantity, context.request, api, cartId);
    await open('/cart');
    if (quantity === 0) await main.getByText('Looks like you haven’t added anything yet').waitFor();
    else await main.locator('.cart-line', { hasText: `Quantity: ${quantity}` }).waitFor();
  };

  await step('home', async () => {
    await open('/');
    await products.first().waitFor();
    await expectImages(page);
  });
  await step('a link of the menu', async () => {
    await page.locator('header').getByRole('link', { name: 'Collections' }).click();
    await page.waitForURL('**/collections');
    await title('Collections');
    await main.locator('a.collection-item').first().waitFor();
    await expectImages(page);
  });
  await step('more collections', async () => {
    await main.getByRole('link', { name: /Load more/ }).click();
    await main.locator('a.collection-item').nth(4).waitFor();
  });
  await step('a collection', async () => {
    await open('/collections/stationery');
    await title('Stationery');
    await expectImages(page);
    const shown = await products.count();
    const more = main.getByRole('link', { name: /Load more/ });
    if (await more.count()) {
      await more.click();
      await products.nth(shown).waitFor();
    }
  });
  await step('all products', async () => {
    await open('/collections/all');
    await expectImages(page);
    const shown = await products.count();
    await main.getByRole('link', { name: /Load more/ }).click();
    await products.nth(shown).waitFor();
  });
  await step('a product', async () => {
    await products.filter({ hasText: 'Linen Notebook' }).or(products.first()).first().click();
    await page.waitForURL('**/products/**');
    await open('/products/linen-notebook');
    await title('Linen Notebook');
    await expectImages(page);
  });
  await step('an option of each kind', async () => {
    for (const option of await main.locator('.product-options').all()) {
      const value = option.locator('button:not([disabled])').last();
      const text = await value.textContent();
      await value.click();
      await page.waitForURL(({ searchParams }) => [...searchParams.values()].includes(text));
    }
    await expectImages(page);
  });
  await step('into the cart', async () => {
    await main.getByRole('button', { name: 'Add to cart' }).click();
    await drawer.locator('.cart-line', { hasText: 'Linen Notebook' }).first().waitFor();
    await cartShows(1);
    await expectImages(page);
  });
  await step('one more of it', async () => {
    await main.getByRole('button', { name: 'Increase quantity' }).click();
    await main.locator('.cart-line', { hasText: 'Quantity: 2' }).waitFor();
    await cartShows(2);
  });
  await step('a discount code', async () => {
    await main.getByPlaceholder('Discount code').fill('WELCOME10');
    await main.getByRole('button', { name: 'Apply discount code' }).click();
    await main.locator('.cart-discount code', { hasText: 'WELCOME10' }).waitFor();
    await page.waitForLoadState('networkidle');
    await open('/cart');
    await main.locator('.cart-discount code', { hasText: 'WELCOME10' }).waitFor();
    await main.getByRole('button', { name: 'Remove discount' }).click();
    await main.locator('.cart-discount code', { hasText: 'WELCOME10' }).waitFor({ state: 'hidden' });
  });
  await step('a gift card that is none', async () => {
    await main.getByPlaceholder('Gift card code').fill('NONE-SUCH');
    await main.getByRole('button', { name: 'Apply gift card code' }).click();
    await cartShows(2);
  });
  await step('out of the cart', async () => {
    await main.getByRole('button', { name: 'Remove', exact: true }).click();
    await main.getByText('Looks like you haven’t added anything yet').waitFor();
    await cartShows(0);
  });
  await step('a page', async () => {
    await page.locator('footer').getByRole('link', { name: 'Care and repair' }).click();
    await page.waitForURL('**/pages/care');
    await title('Care and repair');
  });
  await step('policies', async () => {
    await open('/policies');
    await title('Policies');
    expect(await main.locator('a[href^="/policies/"]').count() === 4, 'there are not four policies');
    for (const link of await main.locator('a[href^="/policies/"]').evaluateAll(
      (links) => links.map((link) => ({ path: link.getAttribute('href'), name: link.textContent })))) {
      await open(link.path);
      await title(link.name);
    }
  });
  await step('a link of the footer to a policy', async () => {
    await page.locator('footer').getByRole('link', { name: 'Returns and refunds' }).click();
    await page.waitForURL('**/policies/refund-policy');
    await title(/refund/i);
  });
  await step('a path that was redirected', async () => {
    await open('/pages/our-story');
    expect(new URL(page.url()).pathname === '/pages/about', `${page.url()} is where it led`);
    await title('About us');
  });
  await step('nothing where nothing is', async () => {
    for (const path of ['/products/none-such', '/collections/none-such', '/pages/none-such', '/none-such']) {
      const response = await page.goto(path);
      expect(response.status() === 404, `${path} answers ${response.status()}`);
    }
  });
  await step('site map and robots', async () => {
    const read = async (path) => {
      const response = await context.request.get(path);
      expect(response.ok(), `${path} answers ${response.status()}`);
      return response.text();
    };
    const addresses = (xml) => [...xml.matchAll(/<loc>(.*?)<\/loc>/g)].map(([, address]) => address);
    expect(/Sitemap: /.test(await read('/robots.txt')), 'robots.txt names no site map');
    const maps = addresses(await read('/sitemap.xml'));
    for (const type of ['products', 'collections', 'pages']) {
      const map = maps.find((address) => address.includes(`/${type}/`));
      expect(map, `no site map of ${type} among ${maps}`);
      const found = addresses(await read(new URL(map).pathname));
      expect(found.length > 0, `${map} is empty`);
      await open(new URL(found[0]).pathname);
    }
  });
  await step('a link with a discount', async () => {
    await open('/discount/WELCOME10?redirect=/products/stoneware-mug');
    expect(new URL(page.url()).pathname === '/products/stoneware-mug', `${page.url()} is where it led`);
    await main.getByRole('button', { name: 'Add to cart' }).click();
    await drawer.locator('.cart-line').first().waitFor();
    await cartShows(1);
    await main.locator('.cart-discount code', { hasText: 'WELCOME10' }).waitFor();
  });
  let ordered;
  await step('an order', async () => {
    ordered = await cartId();
    console.log(`      ordered ${await placeOrder(context.request, api, ordered)}`);
  });
  await step('a second visit has an empty cart', async () => {
    await open('/');
    await page.locator('header').getByRole('link', { name: /Cart/ }).getByLabel('(items: 0)').waitFor();
    await open('/cart');
    await main.getByText('Looks like you haven’t added anything yet').waitFor();
  });
  await step('and can be filled', async () => {
    // The storefront never forgets a cart by itself: the checkout, which is on the same domain, does.
    await context.clearCookies({ name: 'cart' });
    await open('/products/linen-notebook');
    await main.getByRole('button', { name: 'Add to cart' }).click();
    await drawer.locator('.cart-line', { hasText: 'Linen Notebook' }).first().waitFor();
    await cartShows(1);
    expect(await cartId() !== ordered, 'the storefront keeps the ordered cart');
  });
  await step('a link with a cart', async () => {
    const { product } = await ask(context.request, api,
      '{ product(handle: "linen-notebook") { variants(first: 1) { nodes { id } } } }');
    const variant = product.variants.nodes[0].id.split('/').pop();
    // Where it leads is the shop's checkout, which is for whoever runs the shop to build.
    const response = await context.request.get(`/cart/${variant}:3`, { maxRedirects: 0 });
    const target = response.headers().location ?? '';
    expect(response.status() === 302 && target.includes('/checkout/'), `${response.status()} to ${target}`);
    await cartShows(3);
  });
});
