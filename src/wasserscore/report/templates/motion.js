"use strict";
const canvas = document.getElementById("motion"), slider = document.getElementById("motion-step");
const told = document.getElementById("motion-told"), pen = canvas.getContext("2d"), side = canvas.width;
const numbers = (text) => new Uint16Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const target = numbers(canvas.dataset.target), frames = numbers(canvas.dataset.frames);
const captions = JSON.parse(canvas.dataset.captions), each = frames.length / captions.length;
const radius = Number(canvas.dataset.radius);
const dots = (points, colour) => {
  pen.fillStyle = colour;
  for (let i = 0; i < points.length; i += 2) {
    pen.beginPath();
    pen.arc((points[i] * side) / 65535, (points[i + 1] * side) / 65535, radius, 0, 7);
    pen.fill();
  }
};
const draw = () => {
  const k = Number(slider.value);
  pen.clearRect(0, 0, side, side);
  dots(target, "#c9ced8");
  dots(frames.subarray(k * each, (k + 1) * each), "rgba(47, 111, 222, 0.7)");
  told.textContent = captions[k];
  slider.setAttribute("aria-valuetext", captions[k]);
};
slider.addEventListener("input", draw);
document.getElementById("motion-panel").hidden = false;
draw();
