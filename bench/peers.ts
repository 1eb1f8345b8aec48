/** The program that .ci/peers names by this variable. Throws where it is not set. */
export const peerProgram = (variable: string): string => {
  const path = process.env[variable];
  if (path === undefined) throw new Error(`${variable} is not set; remedy: eval "$(.ci/peers)"`);
  return path;
};
