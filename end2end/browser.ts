// The browsers of the machine: none is downloaded.

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { PlaywrightTestConfig } from '@playwright/test';

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Where a browser is: what the variable says, or the first of the names that is installed. */
export function findBrowser(variable: string, names: string[]): string | undefined {
  const folders = ['/usr/bin', ...(process.env.PATH ?? '').split(delimiter)];
  const candidates = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  return process.env[variable] ?? candidates.find(isExecutable);
}

const executablePath = findBrowser('CHROMIUM', ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']);

/** For `use` of a configuration. */
export const browser: PlaywrightTestConfig['use'] = {
  browserName: 'chromium',
  ...(executablePath ? {} : { channel: 'chrome' }),
  launchOptions: {
    ...(executablePath ? { executablePath } : {}),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  },
};
