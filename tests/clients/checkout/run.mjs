// Checks out as buyers do, in a headless Chromium.
//
//   node run.mjs <scenario> <details as JSON>
//
// Details: `base`, the shop's URL; `staff`, an API key with all permissions; `stripe`, the URL of a double
// of Stripe's servers; `screenshots`, a folder to keep pictures of pages in; and what the scenario needs.
// Prints what a scenario returns as JSON. CHROMIUM names the browser where it is not in /usr/bin.
import { browse } from './browser.mjs';
import { Shop } from './shop.mjs';
import * as looks from './looks.mjs';
import * as payments from './payments.mjs';
import * as surprises from './surprises.mjs';

const [name, details] = process.argv.slice(2);
const scenario = { ...looks, ...payments, ...surprises }[name];
if (!scenario || !details) {
  console.error('usage: node run.mjs <scenario> <details as JSON>');
  process.exit(1);
}
const options = JSON.parse(details);
const shop = new Shop(options);
try {
  const seen = await browse(options, (open) => scenario({ ...options, shop, open }));
  console.log(JSON.stringify(seen ?? null));
} catch (error) {
  console.error(error.stack);
  process.exitCode = 1;
}
