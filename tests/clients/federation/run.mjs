// Composes the shop with a second subgraph, runs both behind Apollo's gateway, and asks the gateway.
//
//   node run.mjs <GraphQL URL of the shop> <JSON>
//
// The JSON has `staff`, the token that may read the shop's schema; `points`, the loyalty points of
// each member, by id; and `requests`, each with `document`, `variables` and `headers`. Prints the
// responses, in this order.
import { parse } from 'graphql';
import { compose, startGateway } from './gateway.mjs';
import { startLoyalty, typeDefs } from './loyalty.mjs';

const [shop, json] = process.argv.slice(2);
if (!json) {
  console.error('usage: node run.mjs <GraphQL URL of the shop> <JSON>');
  process.exit(1);
}
const { staff, points, requests } = JSON.parse(json);

async function ask(url, { document, variables, headers }) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query: document, variables }),
  });
  return response.json();
}

const schema = await ask(shop, {
  document: '{ _service { sdl } }',
  headers: { authorization: `Bearer ${staff}` },
});
if (!schema.data) throw new Error(`the shop doesn't tell its schema: ${JSON.stringify(schema)}`);

const loyalty = await startLoyalty(points);
const supergraph = compose([
  { name: 'mercato', url: shop, typeDefs: parse(schema.data._service.sdl) },
  { name: 'loyalty', url: loyalty.url, typeDefs },
]);
const gateway = await startGateway(supergraph);
const responses = [];
for (const request of requests) responses.push(await ask(gateway.url, request));
await gateway.stop();
await loyalty.stop();
console.log(JSON.stringify(responses));
// The gateway's connections to the shop are kept alive, and would keep this process alive as well.
process.exit(0);
