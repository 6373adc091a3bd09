import regexp from 'eslint-plugin-regexp';
import tseslint from 'typescript-eslint';

const noRuntimeSockets = {
  patterns: [
    {
      regex: '^(node:)?(net|tls|https|dgram)$',
      message: 'Only the adapters in src/transport may import a socket API: go through src/transport/port.ts.',
    },
  ],
};

const noEndOnBunSockets = {
  selector: 'CallExpression[callee.property.name=/^(end|close)$/]',
  message:
    'On a TLS socket of Bun this leaves the descriptor open for ever when the peer does not answer: shutdown(), then terminate() at a deadline.',
};

export default tseslint.config(
  {
    ignores: [
      'dist/**',
      'node_modules/**',
      'bench/results/**',
      'coverage/**',
      '*.config.js',
      'bin/**',
      '.dependency-cruiser.cjs',
    ],
  },
  ...tseslint.configs.strictTypeChecked,
  {
    plugins: { regexp },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      'max-lines': ['error', { max: 500 }],
      eqeqeq: 'error',
      // Work that grows faster than the text, for any text that there could be, whoever writes it.
      'regexp/no-super-linear-backtracking': ['error', { report: 'potential' }],
      'regexp/no-super-linear-move': ['error', { report: 'potential', ignoreSticky: false, ignorePartial: false }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    },
  },
  {
    files: ['test/**', 'bench/**', 'scripts/**', 'examples/**'],
    rules: {
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', name: ['describe', 'it', 'test', 'suite'], package: 'node:test' },
          ],
        },
      ],
    },
  },
  {
    files: ['src/**'],
    ignores: ['src/transport/node/**', 'src/transport/bun/**', 'src/transport/http/**'],
    rules: { 'no-restricted-imports': ['error', noRuntimeSockets] },
  },
  {
    files: ['src/transport/bun/**'],
    // The datagram socket has no other way to be closed.
    ignores: ['src/transport/bun/datagram.ts'],
    rules: { 'no-restricted-syntax': ['error', noEndOnBunSockets] },
  },
);
