/* Comfort only: every page works without this file. ES5. */
(function () {
  "use strict";
  function one(selector) { return document.querySelector(selector); }

  /* Arrow keys, page keys and presenters turn the pages on the big screen. */
  document.addEventListener("keydown", function (event) {
    var turns = { 37: "prev", 38: "prev", 33: "prev", 39: "next", 40: "next", 34: "next", 27: "close" };
    var link = turns[event.keyCode] && one("[data-turn=" + turns[event.keyCode] + "]");
    if (link && !/input|select|textarea/i.test(event.target.tagName)) { event.preventDefault(); link.click(); }
  });

  /* What an interactive exercise reports is shown beside it; nothing is kept. */
  window.addEventListener("message", function (event) {
    var frame = one("iframe[data-package]"), place = one("[data-result]"), message = event.data;
    if (!frame || !place || event.source !== frame.contentWindow || !message || message.shuxiang !== "scorm" || message.what !== "set") { return; }
    if (/score\.raw$/.test(message.element)) { place.textContent = place.getAttribute("data-score") + " " + message.value.slice(0, 12); }
    if (/(lesson_status|completion_status)$/.test(message.element) && /^(completed|passed)$/.test(message.value) && !place.textContent) { place.textContent = place.getAttribute("data-done"); }
  });

  /* One tap sets the display clock to that of the phone or computer in the hand. */
  var clock = one("[data-clock]");
  if (clock) {
    clock.hidden = false;
    clock.addEventListener("submit", function () { clock.elements.shown.value = new Date().toISOString(); });
  }
}());
