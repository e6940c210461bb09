// The part of autocannon's programmatic interface that the tests use; the package brings no types.

declare module "autocannon" {
  interface Result {
    readonly errors: number;
    readonly non2xx: number;
    readonly "2xx": number;
  }
  function autocannon(options: {
    readonly url: string;
    readonly connections: number;
    readonly amount?: number;
    readonly duration?: number;
    readonly overallRate?: number;
  }): Promise<Result>;
  export = autocannon;
}
