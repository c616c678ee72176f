// Starts the public copy of GraphiQL: what /graphiql serves when Mercato was built
// without npm. Needs no build step, so it imports nothing but our own file.
import { fetcher, onEditHeaders } from './fetcher.js';

const root = document.getElementById('graphiql');
if (globalThis.YogaGraphiQL) {
  const copy = document.getElementById('graphiql-copy').src;
  const workers = {
    editor: ['editor.worker.bundle.js', 'sha384-pE2N9HoATIHFXyG+qNs0KfCQYNupaLtNYdrU+207YoYufZkQXiNrxwhjD19bwavY'],
    graphql: ['graphql.worker..bundle.js', 'sha384-PFVHFyE1C49Jx+IQWrSNUWIDw1b3aaYAoDYJip6kaM+AqrNwvYabc3Vn5oR7bJ5d'],
    json: ['json.worker.bundle.js', 'sha384-DWcw3li66h7qm7RgvaRzwTHxNSsmDbhaapFdWTO7qtVLuSCrGXwp0Kg2QIutW7Iu'],
  };
  globalThis.MonacoEnvironment = {
    // A worker of another origin cannot be started, nor can its integrity be
    // checked: fetch it with its hash and start what passed.
    async getWorker(_id, label) {
      const [file, integrity] = workers[label] ?? workers.editor;
      const response = await fetch(new URL(`monacoeditorwork/${file}`, copy), { integrity });
      return new Worker(URL.createObjectURL(await response.blob()));
    },
  };

  globalThis.YogaGraphiQL.renderYogaGraphiQL(root, {
    title: 'Mercato GraphiQL',
    fetcher,
    onEditHeaders,
    defaultTabs: JSON.parse(document.getElementById('tabs').textContent),
    // The copy would put its own welcome before the tabs, keep the token in the
    // browser's storage, and write each document into the address.
    initialQuery: undefined,
    shouldPersistHeaders: false,
    onEditQuery() {},
  });
} else {
  root.textContent = 'The public copy of GraphiQL did not load: this page needs access to the internet.';
}
