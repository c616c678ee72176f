// Bundles GraphiQL into dist/, every file gzipped: what build.rs embeds.
import { build } from 'esbuild';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { gzipSync } from 'node:zlib';

const shared = { bundle: true, minify: true, write: false, outdir: 'dist', logLevel: 'error' };

const scripts = build({
  ...shared,
  entryPoints: {
    main: 'main.jsx',
    'editor.worker': 'monaco-editor/esm/vs/editor/editor.worker.js',
    'graphql.worker': 'monaco-graphql/esm/graphql.worker.js',
    'json.worker': 'monaco-editor/esm/vs/language/json/json.worker.js',
  },
  format: 'esm',
  splitting: true,
  jsx: 'automatic',
  // The old names are CommonJS, and a split bundle keeps no named exports of that.
  alias: {
    'prettier/parser-babel': 'prettier/plugins/babel',
    'prettier/parser-graphql': 'prettier/plugins/graphql',
  },
  // Monaco's own style sheets are all part of graphiql/style.css.
  loader: { '.css': 'empty' },
});
const styles = build({ ...shared, entryPoints: { style: 'graphiql/style.css' } });

await mkdir('dist', { recursive: true });
for (const { outputFiles } of await Promise.all([scripts, styles])) {
  for (const { path, contents } of outputFiles) {
    await writeFile(`dist/${basename(path)}.gz`, gzipSync(contents, { level: 9 }));
  }
}
