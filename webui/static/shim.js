/* Put into the pages of interactive packages, which run in a sandbox without an origin of their own.
   Storage lives as long as the page; SCORM results go to the page around it by postMessage. ES5. */
(function () {
  "use strict";
  function memory() {
    var values = {};
    return {
      getItem: function (k) { k = String(k); return Object.prototype.hasOwnProperty.call(values, k) ? values[k] : null; },
      setItem: function (k, v) { values[String(k)] = String(v); },
      removeItem: function (k) { delete values[String(k)]; },
      clear: function () { values = {}; },
      key: function (i) { var k = Object.keys(values)[i]; return k === undefined ? null : k; },
      get length() { return Object.keys(values).length; }
    };
  }
  function give(owner, name, descriptor) {
    descriptor.configurable = true;
    try { Object.defineProperty(owner, name, descriptor); } catch (e) { /* an old browser that does not allow it */ }
  }
  ["localStorage", "sessionStorage"].forEach(function (name) {
    try { window[name].getItem("x"); } catch (e) { give(window, name, { value: memory() }); }
  });
  try { document.cookie; } catch (e) { /* jshint expr:true */
    var jar = "";
    give(document, "cookie", { get: function () { return jar; }, set: function (v) { jar = String(v).split(";")[0]; } });
  }

  var data = {}, error = "0", running = false;
  var first = {
    "cmi.core.lesson_status": "not attempted", "cmi.core.entry": "ab-initio", "cmi.core.lesson_mode": "normal", "cmi.core.credit": "credit",
    "cmi.core.student_id": "", "cmi.core.student_name": "", "cmi.core.lesson_location": "", "cmi.core.score.raw": "", "cmi.suspend_data": "", "cmi.launch_data": "",
    "cmi.completion_status": "unknown", "cmi.success_status": "unknown", "cmi.entry": "ab-initio", "cmi.mode": "normal", "cmi.location": "", "cmi.score.raw": "", "cmi.score.scaled": "", "cmi.learner_id": "", "cmi.learner_name": ""
  };
  function tell(what, element, value) {
    var message = { shuxiang: "scorm", what: what, element: element || "", value: value === undefined ? "" : String(value) };
    var to = window.parent !== window ? window.parent : window.opener;
    if (to) { to.postMessage(message, "*"); }
  }
  function begin() { if (running) { error = "101"; return "false"; } running = true; error = "0"; tell("begin"); return "true"; }
  function end() { if (!running) { error = "301"; return "false"; } running = false; error = "0"; tell("end"); return "true"; }
  function get(element) {
    if (!running) { error = "301"; return ""; }
    error = "0";
    if (Object.prototype.hasOwnProperty.call(data, element)) { return data[element]; }
    if (Object.prototype.hasOwnProperty.call(first, element)) { return first[element]; }
    var list = /^(.*)\._count$/.exec(element), seen = {};
    if (list) {
      Object.keys(data).forEach(function (k) { if (k.indexOf(list[1] + ".") === 0) { seen[k.slice(list[1].length + 1).split(".")[0]] = 1; } });
      return String(Object.keys(seen).length);
    }
    return "";
  }
  function set(element, value) {
    if (!running) { error = "301"; return "false"; }
    error = "0"; data[element] = String(value); tell("set", element, value); return "true";
  }
  function commit() { if (!running) { error = "301"; return "false"; } error = "0"; tell("commit"); return "true"; }
  function last() { return error; }
  function text(code) { return String(code) === "0" ? "" : "SCORM error " + code; }
  window.API = { LMSInitialize: begin, LMSFinish: end, LMSGetValue: get, LMSSetValue: set, LMSCommit: commit, LMSGetLastError: last, LMSGetErrorString: text, LMSGetDiagnostic: text };
  window.API_1484_11 = { Initialize: begin, Terminate: end, GetValue: get, SetValue: set, Commit: commit, GetLastError: last, GetErrorString: text, GetDiagnostic: text };
}());
