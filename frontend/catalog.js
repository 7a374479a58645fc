// What follows from the catalog: defaults, what fits what, and the spec that a new choice leads to.

/** @typedef {import("./types").Catalog} Catalog */
/** @typedef {import("./types").Entry} Entry */
/** @typedef {import("./types").NamedPart} NamedPart */
/** @typedef {import("./types").ProblemEntry} ProblemEntry */
/** @typedef {import("./types").Spec} Spec */
/** @typedef {import("./types").State} State */

export const MOST_STEPS = 100_000;
export const MOST_LANES = 256;

/** @template {Entry} E @param {E[]} entries @param {string} name */
export const named = (entries, name) => entries.find((entry) => entry.name === name);

/** Whether a problem's structural options are all at their defaults: the catalog's dimension, start and fits hold then.
 * @param {ProblemEntry} entry @param {NamedPart} part */
export const plain = (entry, part) =>
  Object.entries(entry.options.properties).every(
    ([key, schema]) => part[key] === undefined || JSON.stringify(part[key]) === JSON.stringify(schema.default),
  );

/** Why a method does not fit a problem, as far as the catalog knows; the server knows the rest.
 * @param {{fits: Record<string, true | string>}} method @param {ProblemEntry} problem @param {NamedPart} part */
export function unfit(method, problem, part) {
  const fits = method.fits?.[problem.name];
  return typeof fits === "string" && plain(problem, part) ? fits : null;
}

/** A knob's default on a problem.
 * @param {Entry} entry @param {string} knob @param {ProblemEntry} problem @returns {number} */
export function defaultOf(entry, knob, problem) {
  return problem.defaults?.[entry.name]?.[knob] ?? entry.knobs.properties[knob].default ?? problem.rate;
}

/** How many lanes a part of `optimizers` is. @param {NamedPart} part @param {Entry | undefined} entry */
export const lanesOf = (part, entry) =>
  Object.keys(entry?.knobs.properties ?? {}).reduce((n, k) => n * (Array.isArray(part[k]) ? part[k].length : 1), 1);

/** What a first visit shows. @param {Catalog} catalog @returns {Spec} */
export function firstSpec(catalog) {
  const problem = named(catalog.problems, "rosenbrock") ?? catalog.problems[0];
  const known = catalog.optimizers.filter((o) => o.fits[problem.name] === true).map((o) => o.name);
  const chosen = ["damped-newton", "gradient-descent"].filter((name) => known.includes(name));
  return {
    problem: { name: problem.name },
    optimizers: (chosen.length ? chosen : known.slice(0, 1)).map((name) => ({ name })),
  };
}

/** @param {Spec} spec @returns {State} */
export const stateOf = (spec) => ({ spec, views: null, axis: "steps", at: null, lane: 0, hide: [] });

/** The spec on another problem: the same optimizers as far as they fit, with that problem's own defaults.
 * @param {Catalog} catalog @param {Spec} spec @param {ProblemEntry} problem
 * @returns {{spec: Spec, left: string[]}} left: what had to go, and why */
export function withProblem(catalog, spec, problem) {
  /** @type {string[]} */
  const left = [];
  const part = { name: problem.name };
  const optimizers = spec.optimizers
    .flatMap(({ name }) => {
      const entry = named(catalog.optimizers, name);
      const lacking = entry && unfit(entry, problem, part);
      if (lacking) left.push(`${entry.title} does not fit ${problem.title}: ${lacking}.`);
      return entry && !lacking ? [{ name }] : [];
    })
    .filter(({ name }, i, all) => all.findIndex((other) => other.name === name) === i);
  if (!optimizers.length) {
    const first = catalog.optimizers.filter((o) => !unfit(o, problem, part));
    optimizers.push({ name: (named(first, "gradient-descent") ?? first[0]).name });
  }
  const probes = spec.probes?.filter((probe) => {
    const entry = named(catalog.probes, probe.name);
    return entry && !unfit(entry, problem, part);
  });
  return {
    spec: { problem: part, optimizers, ...(spec.seed && { seed: spec.seed }), ...(probes?.length && { probes }) },
    left,
  };
}
