/* 分数乐园: four kinds of questions about fractions. ES5, no network, no storage. */
(function () {
  'use strict';
  var SVG = 'http://www.w3.org/2000/svg';
  var levels = [
    { name: '涂一涂', make: paint },
    { name: '认一认', make: name },
    { name: '比一比', make: compare },
    { name: '算一算', make: add }
  ];
  var praise = ['真棒！', '答对了！', '你真会观察！', '完全正确！'];
  var level = 0, stars = 0, question = null, answered = false, firstTry = true;

  function byId(id) { return document.getElementById(id); }
  function random(low, high) { return low + Math.floor(Math.random() * (high - low + 1)); }
  function shuffle(list) {
    var i, j, kept;
    for (i = list.length - 1; i > 0; i -= 1) {
      j = random(0, i); kept = list[i]; list[i] = list[j]; list[j] = kept;
    }
    return list;
  }
  function fraction(above, below) {
    return '<span class="fraction"><span>' + above + '</span><span>' + below + '</span></span>';
  }
  function draw(kind, attributes, parent) {
    var shape = document.createElementNS(SVG, kind), key;
    for (key in attributes) {
      if (Object.prototype.hasOwnProperty.call(attributes, key)) { shape.setAttribute(key, attributes[key]); }
    }
    parent.appendChild(shape);
    return shape;
  }
  function board(height) {
    var svg;
    byId('board').innerHTML = '';
    svg = draw('svg', { viewBox: '0 0 520 ' + height, role: 'img' }, byId('board'));
    return svg;
  }
  function sector(x, y, radius, place, parts) {
    var from = 2 * Math.PI * place / parts - Math.PI / 2, to = 2 * Math.PI * (place + 1) / parts - Math.PI / 2;
    return 'M' + x + ' ' + y + ' L' + (x + radius * Math.cos(from)).toFixed(2) + ' ' + (y + radius * Math.sin(from)).toFixed(2) +
      ' A' + radius + ' ' + radius + ' 0 0 1 ' + (x + radius * Math.cos(to)).toFixed(2) + ' ' + (y + radius * Math.sin(to)).toFixed(2) + ' Z';
  }
  function cake(svg, x, y, radius, parts, taken) {
    var shapes = [], i;
    for (i = 0; i < parts; i += 1) {
      shapes.push(draw('path', {
        d: sector(x, y, radius, i, parts), fill: i < taken ? '#e0a95c' : '#f1d9a7', stroke: '#b98243', 'stroke-width': 3
      }, svg));
    }
    return shapes;
  }
  function strip(svg, y, parts, taken) {
    var shapes = [], i, width = 460 / parts;
    for (i = 0; i < parts; i += 1) {
      shapes.push(draw('rect', {
        x: (30 + width * i).toFixed(2), y: y, width: width.toFixed(2), height: 62,
        fill: i < taken ? '#6fa8b5' : '#fffdf8', stroke: '#2f6f82', 'stroke-width': 3
      }, svg));
    }
    return shapes;
  }
  function choices(list, right) {
    var box = byId('answers'), i;
    box.innerHTML = '';
    question.picked = null;
    function add(choice) {
      var button = document.createElement('button');
      button.type = 'button';
      button.innerHTML = choice.html;
      button.setAttribute('aria-label', choice.label);
      button.onclick = function () {
        var all = box.getElementsByTagName('button'), j;
        if (answered) { return; }
        for (j = 0; j < all.length; j += 1) { all[j].className = ''; }
        button.className = 'picked';
        question.picked = choice.value;
      };
      box.appendChild(button);
    }
    for (i = 0; i < list.length; i += 1) { add(list[i]); }
    question.right = function () { return question.picked === right; };
    question.ready = function () { return question.picked !== null; };
  }
  function choice(above, below) {
    return { html: fraction(above, below), label: below + '分之' + above, value: above + '/' + below };
  }

  function paint() {
    var parts = random(2, 8), wanted = random(1, parts - 1), round = Math.random() < 0.5, svg = board(300);
    var shapes = round ? cake(svg, 260, 150, 136, parts, 0) : strip(svg, 116, parts, 0), chosen = [], i;
    byId('answers').innerHTML = '';
    byId('task').innerHTML = '请涂出它的 ' + fraction(wanted, parts);
    function toggle(shape, place) {
      if (answered) { return; }
      chosen[place] = !chosen[place];
      shape.setAttribute('fill', chosen[place] ? (round ? '#e0a95c' : '#6fa8b5') : (round ? '#f1d9a7' : '#fffdf8'));
      shape.setAttribute('aria-pressed', chosen[place] ? 'true' : 'false');
    }
    function prepare(shape, place) {
      shape.setAttribute('class', 'part');
      shape.setAttribute('tabindex', '0');
      shape.setAttribute('role', 'button');
      shape.setAttribute('aria-label', '第' + (place + 1) + '份');
      shape.addEventListener('click', function () { toggle(shape, place); });
      shape.addEventListener('keydown', function (event) {
        if (event.keyCode === 32) { toggle(shape, place); event.preventDefault(); event.stopPropagation(); }
      });
    }
    for (i = 0; i < parts; i += 1) { chosen.push(false); prepare(shapes[i], i); }
    function count() {
      var sum = 0, j;
      for (j = 0; j < parts; j += 1) { sum += chosen[j] ? 1 : 0; }
      return sum;
    }
    question = {
      ready: function () { return count() > 0; },
      right: function () { return count() === wanted; },
      hint: '平均分成了 ' + parts + ' 份，要涂 ' + wanted + ' 份。'
    };
  }
  function name() {
    var parts = random(3, 8), taken = random(1, parts - 1), svg = board(300), seen = {}, list = [], other;
    if (Math.random() < 0.5) { cake(svg, 260, 150, 136, parts, taken); } else { strip(svg, 116, parts, taken); }
    byId('task').innerHTML = '涂色部分是它的几分之几？';
    question = { hint: '先数一共平均分成几份（分母），再数涂色的有几份（分子）。' };
    function put(above, below) {
      var same = above * parts === taken * below && below !== parts;
      if (above > 0 && below > above && !same && !seen[above + '/' + below]) { seen[above + '/' + below] = true; list.push(choice(above, below)); }
    }
    put(taken, parts);
    put(parts - taken, parts);
    put(taken, parts + 1);
    while (list.length < 4) { other = random(3, 9); put(random(1, other - 1), other); }
    choices(shuffle(list), taken + '/' + parts);
  }
  function compare() {
    var same = Math.random() < 0.5, svg = board(300), a, b, c, d, sign;
    if (same) {
      b = d = random(4, 9); a = random(1, b - 1);
      do { c = random(1, d - 1); } while (c === a);
    } else {
      a = c = 1; b = random(2, 9);
      do { d = random(2, 9); } while (d === b);
    }
    strip(svg, 60, b, a);
    strip(svg, 180, d, c);
    byId('task').innerHTML = fraction(a, b) + ' ○ ' + fraction(c, d) + '　○ 里填什么？';
    sign = a * d > c * b ? '>' : '<';
    question = { hint: same ? '分母相同，分子大的分数大。' : '分子都是 1，分的份数越多，每份越小。' };
    choices([
      { html: '＞', label: '大于', value: '>' }, { html: '＜', label: '小于', value: '<' }, { html: '＝', label: '等于', value: '=' }
    ], sign);
  }
  function add() {
    var parts = random(4, 9), plus = Math.random() < 0.6, svg = board(300), a, b, result, list = [], seen = {}, other;
    if (plus) { a = random(1, parts - 2); b = random(1, parts - a - 1); result = a + b; } else {
      a = random(3, parts - 1); b = random(1, a - 1); result = a - b;
    }
    strip(svg, 60, parts, a);
    strip(svg, 180, parts, b);
    byId('task').innerHTML = fraction(a, parts) + (plus ? ' ＋ ' : ' － ') + fraction(b, parts) + ' ＝ ？';
    question = { hint: '分母不变，' + a + ' 个 ' + parts + ' 分之一' + (plus ? '加上 ' : '减去 ') + b + ' 个 ' + parts + ' 分之一。' };
    function put(above, below) {
      if (above > 0 && !seen[above + '/' + below]) { seen[above + '/' + below] = true; list.push(choice(above, below)); }
    }
    put(result, parts);
    put(result, parts * 2);
    put(result + 1, parts);
    while (list.length < 4) { other = random(1, parts); put(other, parts); }
    choices(shuffle(list), result + '/' + parts);
  }

  function say(words, kind) {
    byId('word').innerHTML = words;
    byId('word').className = 'word ' + kind;
  }
  function ask() {
    answered = false;
    firstTry = true;
    say('', '');
    byId('check').style.display = 'inline-block';
    byId('next').style.display = 'none';
    levels[level].make();
  }
  function check() {
    if (answered) { return; }
    if (!question.ready()) { say('先选一选，再看对不对。', 'bad'); return; }
    if (question.right()) {
      answered = true;
      if (firstTry) { stars += 1; }
      byId('score').innerHTML = '★ ' + stars;
      say(praise[random(0, praise.length - 1)], 'good');
      byId('check').style.display = 'none';
      byId('next').style.display = 'inline-block';
      byId('next').focus();
    } else {
      firstTry = false;
      say('再想一想。' + question.hint, 'bad');
    }
  }
  function open(number) {
    var all = byId('levels').getElementsByTagName('button'), i;
    level = number;
    for (i = 0; i < all.length; i += 1) {
      all[i].className = i === number ? 'on' : '';
      all[i].setAttribute('aria-selected', i === number ? 'true' : 'false');
    }
    ask();
  }
  function move(step) {
    var all = [], i, parts = byId('board').querySelectorAll('.part'), answers = byId('answers').getElementsByTagName('button'), at = -1;
    for (i = 0; i < parts.length; i += 1) { all.push(parts[i]); }
    for (i = 0; i < answers.length; i += 1) { all.push(answers[i]); }
    if (!all.length) { return; }
    for (i = 0; i < all.length; i += 1) { if (all[i] === document.activeElement) { at = i; } }
    at = at < 0 ? 0 : (at + step + all.length) % all.length;
    if (all[at].focus) { all[at].focus(); }
  }
  function start() {
    var box = byId('levels'), i;
    function tab(number) {
      var button = document.createElement('button');
      button.type = 'button';
      button.innerHTML = levels[number].name;
      button.setAttribute('role', 'tab');
      button.onclick = function () { open(number); };
      box.appendChild(button);
    }
    for (i = 0; i < levels.length; i += 1) { tab(i); }
    byId('check').onclick = check;
    byId('next').onclick = ask;
    document.addEventListener('keydown', function (event) {
      var key = event.keyCode, target = event.target;
      if (key >= 49 && key <= 52) { open(key - 49); } else if (key === 37) { move(-1); } else if (key === 39) { move(1); } else if (key === 13) {
        if (target && target.parentNode && target.parentNode.id === 'answers') { target.onclick(); }
        if (answered) { ask(); } else { check(); }
        event.preventDefault();
      }
    });
    open(0);
  }
  start();
}());
