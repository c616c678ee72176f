// Shops in Next.js Commerce as a buyer would, and exits with 1 if a step fails.
//
//   node run.mjs <base URL of the storefront> <GraphQL URL of the shop> <folder for screenshots>
import { expect, expectImages, placeOrder, until, untilShopHas, visit } from '../visitor.mjs';

const [base, api, screenshots] = process.argv.slice(2);
if (!screenshots) {
  console.error('usage: node run.mjs <storefront> <shop\'s GraphQL> <folder for screenshots>');
  process.exit(1);
}

// The product page can't be fetched in advance: it reads the address outside of a `Suspense`.
const isKnown = (url) => /\/product\/.*_rsc=/.test(url);

await visit({ base, screenshots, isKnown }, async ({ page, context, step }) => {
  const cookie = async () => (await context.cookies()).find(({ name }) => name === 'cartId')?.value;
  const cart = page.getByRole('dialog');
  const products = page.locator('main a[href^="/product/"]');
  const cartId = async () => decodeURIComponent(await cookie());
  const shopHas = (quantity) => untilShopHas(quantity, context.request, api, cartId);
  // The storefront shows what became of the cart on the next page only, whatever the shop answers:
  // its actions say `revalidateTag(…, 'seconds')`, which doesn't draw the page again.
  const openCart = async () => {
    await page.reload();
    await page.getByRole('button', { name: 'Open cart' }).first().click();
    await cart.getByText('My Cart').waitFor();
  };

  const chooseOptions = async () => {
    const options = page.locator('main form dl');
    await options.first().waitFor();
    for (const option of await options.all()) {
      const value = option.locator('button:not([disabled])').last();
      const text = await value.textContent();
      await value.click();
      await page.waitForURL(({ searchParams }) => [...searchParams.values()].includes(text));
    }
  };
  const addToCart = async (product) => {
    await page.goto(`/product/${product}`);
    await chooseOptions();
    await page.getByRole('button', { name: 'Add to cart', exact: true }).click();
    await shopHas(1);
  };

  await step('home', async () => {
    // The first visit greets with a note, which lies over what is to be clicked.
    await context.addCookies([{ name: 'welcome-toast', value: '2', url: base }]);
    await page.goto('/');
    await products.first().waitFor();
    await expectImages(page);
    expect(await products.count() >= 3, 'the home page features fewer than three products');
    await until('a cart', cookie);
  });
  await step('a link of the menu', async () => {
    await page.locator('nav').getByRole('link', { name: 'Stationery' }).click();
    await page.waitForURL('**/search/stationery');
    await products.first().waitFor();
    await expectImages(page);
  });
  await step('a page', async () => {
    await page.locator('footer').getByRole('link', { name: 'About us' }).click();
    await page.waitForURL('**/about');
    await page.getByRole('heading', { name: 'About us' }).waitFor();
  });
  await step('search', async () => {
    await page.goto('/search');
    const box = page.getByPlaceholder('Search for products...').first();
    await box.fill('linen');
    await box.press('Enter');
    await page.waitForURL('**/search?q=linen');
    await page.getByText(/Showing \d+ results? for/).waitFor();
    await expectImages(page);
  });
  await step('search sorted by price', async () => {
    await page.getByRole('link', { name: 'Price: Low to high' }).first().click();
    await page.waitForURL(/sort=price-asc/);
    const cheapest = await products.allTextContents();
    await page.getByRole('link', { name: 'Price: High to low' }).first().click();
    await page.waitForURL(/sort=price-desc/);
    const dearest = await products.allTextContents();
    expect(cheapest.length > 1 && `${cheapest}` === `${dearest.reverse()}`, `${cheapest} and ${dearest}`);
  });
  await step('a search that finds nothing', async () => {
    await page.goto('/search?q=zzzzqqq');
    await page.getByText('There are no products that match').waitFor();
  });
  await step('a product', async () => {
    await page.goto('/product/linen-notebook');
    await page.getByRole('heading', { name: 'Linen Notebook' }).waitFor();
    await page.getByRole('heading', { name: 'Related Products' }).waitFor();
    await expectImages(page);
  });
  await step('an option of each kind', async () => {
    await chooseOptions();
    expect(new URL(page.url()).search, 'the selected options are not in the address');
    await page.getByRole('button', { name: 'Add to cart', exact: true }).waitFor();
  });
  await step('into the cart', async () => {
    await page.getByRole('button', { name: 'Add to cart', exact: true }).click();
    await shopHas(1);
    await openCart();
    await cart.getByText('Linen Notebook').waitFor();
    await expectImages(page);
  });
  await step('one more of it', async () => {
    await cart.getByRole('button', { name: 'Increase item quantity' }).click();
    await shopHas(2);
    await openCart();
    await cart.locator('li p', { hasText: /^2$/ }).waitFor();
  });
  await step('out of the cart', async () => {
    await cart.getByRole('button', { name: 'Remove cart item' }).click();
    await shopHas(0);
    await openCart();
    await cart.getByText('Your cart is empty.').waitFor();
  });
  let ordered;
  await step('an order', async () => {
    await addToCart('stoneware-mug');
    await openCart();
    await cart.getByText('Stoneware Mug').waitFor();
    ordered = await cartId();
    console.log(`      ordered ${await placeOrder(context.request, api, ordered)}`);
  });
  await step('a second visit has an empty cart', async () => {
    // It asks for the cart it knows, hears that there is none, and makes another.
    await page.goto('/');
    await until('another cart', async () => await cartId() !== ordered);
    await openCart();
    await cart.getByText('Your cart is empty.').waitFor();
  });
  await step('and can be filled', async () => {
    await addToCart('linen-notebook');
    await openCart();
    await cart.getByText('Linen Notebook').waitFor();
  });
});
