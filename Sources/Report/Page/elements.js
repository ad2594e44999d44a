"use strict";
// Makes elements. Whatever comes from the recording gets into the page here only, and only as text.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; a child that is no node becomes text, null is left out. */
function element(name, attributes, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same in a drawing. */
function shape(name, attributes, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const MARKS = { success: "✓", failure: "✗", unknown: "?" };

/** A verdict's code, with a mark that tells its outcome without colour. */
function badge(code, outcome) {
  return element("span", { class: "badge " + (outcome in MARKS ? outcome : "unknown") },
    element("span", { "aria-hidden": "true" }, (MARKS[outcome] ?? "?") + " "), code);
}

/** What is said where a connection that failed ended; it may not be known whether it did. */
function endWords(outcome) {
  return (outcome === "failure" ? MARKS.failure : MARKS.unknown) + " ended here";
}

/** `64.902 ms`, of microseconds. */
function milliseconds(time) {
  return (time / 1000).toFixed(3) + " ms";
}
