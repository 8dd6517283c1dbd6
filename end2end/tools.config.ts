// Not tests: screenshots of the real product, and measurements of its page.

import { defineConfig } from '@playwright/test';
import { browser } from './browser';

export default defineConfig({
  testDir: 'tools',
  testMatch: '*.tool.ts',
  outputDir: 'test-results/tools',
  workers: 1,
  timeout: 5 * 60_000,
  expect: { timeout: 15_000 },
  reporter: [['line']],
  use: { ...browser, navigationTimeout: 30_000 },
});
