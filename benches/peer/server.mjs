// A shop on Fastify and Mercurius, with loaders and compiled queries, as its documentation
// recommends: the same catalog on PostgreSQL, and orders that only take stock and insert rows. See
// compare.sh.
import Fastify from 'fastify';
import mercurius from 'mercurius';
import pg from 'pg';

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 16 });
const prepared = (name, text) => async (...values) => (await pool.query({ name, text, values })).rows;

const product = prepared('product', 'SELECT id, handle, title, description FROM product WHERE handle = $1');
const products = prepared('products', 'SELECT id, handle, title, description FROM product ORDER BY id LIMIT $1 OFFSET $2');
const variants = prepared('variants', `SELECT product_id, id, sku, title, price_minor / 100.0::float8 AS price
  FROM variant WHERE product_id = ANY($1) ORDER BY id`);
const stock = prepared('stock', 'SELECT variant_id, on_hand FROM stock WHERE variant_id = ANY($1)');
const collections = prepared('collections', `SELECT m.product_id, c.title FROM membership m JOIN collection c ON c.id = m.collection_id
  WHERE m.product_id = ANY($1) ORDER BY c.id`);

const grouped = (rows, key, ids) => {
  const groups = new Map(ids.map((id) => [id, []]));
  for (const row of rows) groups.get(row[key]).push(row);
  return ids.map((id) => groups.get(id));
};
const loader = (read, key) => async (queries) => {
  const ids = queries.map(({ obj }) => obj.id);
  return grouped(await read(ids), key, ids);
};

async function placeOrder(_, { lines }) {
  const ids = lines.map((line) => line.variant), quantities = lines.map((line) => line.quantity);
  const client = await pool.connect();
  const run = (name, text, values) => client.query({ name, text, values });
  try {
    await client.query('BEGIN');
    const taken = await run('take', `UPDATE stock SET on_hand = on_hand - wanted.quantity
      FROM unnest($1::int[], $2::int[]) AS wanted (id, quantity)
      WHERE variant_id = wanted.id AND on_hand >= wanted.quantity`, [ids, quantities]);
    if (taken.rowCount !== ids.length) throw new Error('sold out');
    const { rows: [order] } = await run('order', `INSERT INTO sale (total_minor)
      SELECT sum(price_minor * quantity) FROM unnest($1::int[], $2::int[]) AS line (variant, quantity)
      JOIN variant ON variant.id = line.variant RETURNING id`, [ids, quantities]);
    await run('lines', `INSERT INTO sale_line (sale_id, variant_id, quantity, price_minor)
      SELECT $1::int, variant.id, quantity, price_minor FROM unnest($2::int[], $3::int[]) AS line (variant, quantity)
      JOIN variant ON variant.id = line.variant`, [order.id, ids, quantities]);
    await client.query('COMMIT');
    return { id: order.id, status: 'PLACED' };
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  } finally {
    client.release();
  }
}

const app = Fastify({ logger: false });
app.register(mercurius, {
  jit: 1,
  schema: `
    type Query { product(handle: String!): Product products(offset: Int!, limit: Int!): [Product!]! }
    type Mutation { placeOrder(lines: [Line!]!): Order! }
    type Product { handle: String! title: String! description: String! variants: [Variant!]! collections: [Collection!]! }
    type Variant { sku: String! title: String! price: Float! stock: Int! }
    type Collection { title: String! }
    type Order { id: ID! status: String! }
    input Line { variant: Int! quantity: Int! }
  `,
  resolvers: {
    Query: {
      product: async (_, { handle }) => (await product(handle))[0] ?? null,
      products: (_, { offset, limit }) => products(limit, offset),
    },
    Mutation: { placeOrder },
  },
  loaders: {
    Product: { variants: loader(variants, 'product_id'), collections: loader(collections, 'product_id') },
    Variant: {
      stock: async (queries) => {
        const ids = queries.map(({ obj }) => obj.id);
        return grouped(await stock(ids), 'variant_id', ids).map(([row]) => row.on_hand);
      },
    },
  },
});
await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });
