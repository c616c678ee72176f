// The page that Mercato serves at /graphiql when it was built with npm at hand.
import { createLocalStorage } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import { fetcher, onEditHeaders } from './fetcher.js';

// Monaco asks for its workers by label. They are files of our own origin, so
// that the content-security policy needs no `blob:`.
const workers = { graphql: 'graphql.worker.js', json: 'json.worker.js' };
globalThis.MonacoEnvironment = {
  getWorker: (_id, label) =>
    new Worker(new URL(workers[label] ?? 'editor.worker.js', import.meta.url), { type: 'module' }),
};

// Other servers show their GraphiQL on localhost too: keep the tabs apart. And keep no
// token: GraphiQL forgets the headers of a tab, but its history would store them.
const storage = createLocalStorage({ namespace: 'mercato' });
const { setItem } = storage;
const withoutHeaders = (key, value) => (key === 'headers' ? undefined : value);
storage.setItem = (key, value) => {
  const isHistory = /:(queries|favorites)$/.test(key);
  setItem(key, isHistory ? JSON.stringify(JSON.parse(value, withoutHeaders)) : value);
};

createRoot(document.getElementById('graphiql')).render(
  <GraphiQL
    fetcher={fetcher}
    onEditHeaders={onEditHeaders}
    defaultTabs={JSON.parse(document.getElementById('tabs').textContent)}
    storage={storage}
    shouldPersistHeaders={false}
    defaultEditorToolsVisibility
  />,
);
