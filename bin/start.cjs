// A file of its own: old versions of Node cannot read `import()`.
'use strict';

import('../dist/main.js').catch(function (error) {
  var isMissing = error && error.code === 'ERR_MODULE_NOT_FOUND' && /dist.main\.js/.test(error.message);
  if (!isMissing) throw error;
  process.stderr.write('towpath: dist/ is missing; in a checkout, run: npm run build\n');
  process.exit(1);
});
