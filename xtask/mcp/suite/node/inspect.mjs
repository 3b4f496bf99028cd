// The Inspector's command line: one process for each thing that it is asked.
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Asks the server at `url`; what was printed, as one line. A tool's error ends it too, after the result. */
export const inspector = (launcher, url) => async (...words) => {
  const server = ["--cli", url, "--transport", "http", "--connect-timeout", "120000"];
  try {
    const { stdout } = await run(process.execPath, [launcher, ...server, ...words]);
    return JSON.parse(stdout);
  } catch ({ code, stdout, stderr, message }) {
    const said = stdout?.trim() ? stdout : stderr ?? message;
    return `FAILED ${code} ${said.replace(/\s+/g, " ")}`;
  }
};
