// Creates elements from names, attributes and children. Text stays text and is never markup.
const SVG = 'http://www.w3.org/2000/svg';

function element(name, attributes, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function shape(name, attributes, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

// The attribute `paint` holds styles; an attribute that begins with `on` is an event handler.
function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === 'paint') Object.assign(made.style, value);
    else if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children.flat().filter(child => child !== null && child !== undefined));
  return made;
}

function button(label, does, attributes) {
  return element('button', { type: 'button', onclick: does, ...attributes }, label);
}
