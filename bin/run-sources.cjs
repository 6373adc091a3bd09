// Lets this thread run the TypeScript of ../src/. Bun does so itself, and Node too, but not below node_modules. There the sources
// are when npm installed towpath from a git URL: it compiles nothing, as npm cannot do that with --global.
'use strict';

var fs = require('node:fs');
var module_ = require('node:module');
var path = require('node:path');
var url = require('node:url');

var SOURCES = url.pathToFileURL(path.join(__dirname, '..', 'src', path.sep)).href;

if (!('bun' in process.versions) && SOURCES.includes('/node_modules/')) {
  silenceWarning();
  module_.registerHooks({ load: load });
}

/** Node warns of stripTypeScriptTypes() at its first call only. Which Node runs towpath is tested, so the warning helps nobody. */
function silenceWarning() {
  var emitWarning = process.emitWarning;
  process.emitWarning = function () {};
  try {
    module_.stripTypeScriptTypes('');
  } finally {
    process.emitWarning = emitWarning;
  }
}

function load(module, context, next) {
  if (!module.startsWith(SOURCES) || !module.endsWith('.ts')) return next(module, context);
  var source = module_.stripTypeScriptTypes(fs.readFileSync(url.fileURLToPath(module), 'utf8'));
  return { format: 'module', source: source, shortCircuit: true };
}
