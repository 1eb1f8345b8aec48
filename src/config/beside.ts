/** A path that a file names, relative to the file's folder unless it is absolute. */
export const beside = (file: string, path: string): string =>
  path.startsWith("/") ? path : file.slice(0, file.lastIndexOf("/") + 1) + path;
