// What storefronts and staff do over the shop's API.

/** Fails with the message unless the condition holds. */
export function expect(condition, message) {
  if (!condition) throw new Error(message);
}

export class Shop {
  #url;
  #staff;

  constructor({ base, staff }) {
    this.#url = new URL('/graphql', base);
    this.#staff = { Authorization: `Bearer ${staff}` };
  }

  async #ask(query, variables, headers = {}) {
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = await response.json();
    const refusals = Object.values(data ?? {}).flatMap((field) => field?.userErrors ?? []);
    expect(!errors && !refusals.length, `the shop refuses: ${JSON.stringify(errors ?? refusals)}`);
    return data;
  }

  /** Variants that are for sale, by the titles of their products. */
  async variants(count) {
    const query = `query($count: Int!) {
      products(first: $count) { nodes { variants(first: 1) { nodes { id availableForSale } } } }
    }`;
    const { products } = await this.#ask(query, { count });
    const variants = products.nodes.map((product) => product.variants.nodes[0]);
    return variants.filter((variant) => variant.availableForSale).map(({ id }) => id);
  }

  /** Creates a cart with `[variant, quantity]` pairs; returns its `checkoutUrl`. */
  async createCart(...lines) {
    const query = `mutation($lines: [CartLineInput!]) {
      cartCreate(input: { lines: $lines }) { cart { checkoutUrl } userErrors { field message } }
    }`;
    const input = lines.map(([merchandiseId, quantity]) => ({ merchandiseId, quantity }));
    return (await this.#ask(query, { lines: input })).cartCreate.cart.checkoutUrl;
  }

  /** Staff send everything that was ordered. */
  fulfill(orderId) {
    const query = `mutation($fulfillment: FulfillmentCreateInput!) {
      fulfillmentCreate(fulfillment: $fulfillment) { userErrors { field message } }
    }`;
    const trackingInfo = { company: 'DHL', number: 'JD0001', url: 'https://track.example/JD0001' };
    return this.#ask(query, { fulfillment: { orderId, trackingInfo } }, this.#staff);
  }

  /** Staff change the price of a variant. */
  changePrice(product, variant, price) {
    const query = `mutation($product: ID!, $variants: [ProductVariantsBulkInput!]!) {
      productVariantsBulkUpdate(productId: $product, variants: $variants) { userErrors { field message } }
    }`;
    return this.#ask(query, { product, variants: [{ id: variant, price }] }, this.#staff);
  }
}
