use Mojo::Base -strict, -signatures;
use Test::More;
use Peer qw(answer listener post sender);

subtest 'a subscriber hears its topic and what is below it, each message once' => sub {
  my %subscribers = map { $_ => Peer->open(listener("/sub/$_")) } qw(ps ps/a ps/a/b ps/b psa PS);
  my $publisher = Peer->open(sender('/pub/ps/a'));
  $publisher->say('for ps and ps/a', 'once more');
  is_deeply $subscribers{$_}->hear(2), ['for ps and ps/a', 'once more'], $_ for qw(ps ps/a);
  for my $topic (qw(ps/a/b ps/b psa PS)) {
    post(sender("/pub/$topic"), 'your own');
    is_deeply $subscribers{$topic}->hear, ['your own'], "$topic has heard nothing before";
  }
  is_deeply $subscribers{'ps/a'}->hear, ['your own'], 'ps/a hears ps/a/b';
  is_deeply $subscribers{ps}->hear(2), [('your own') x 2], 'ps hears ps/a/b and ps/b';
  is_deeply $_->heard, [], 'and nothing more' for values %subscribers;
};

subtest 'all subscribers of a topic hear it' => sub {
  my @subscribers = map { Peer->open($_) } map { (listener($_), sender($_)) } ('/sub/all') x 3;
  Peer->open(sender('/pub/all'))->say('to all');
  is_deeply $_->hear, ['to all'], 'one of them' for @subscribers;
};

subtest 'a subscriber that has gone leaves the others as they were' => sub {
  my @subscribers = map { Peer->open(listener('/sub/leave')) } 1 .. 3;
  my $publisher = Peer->open(sender('/pub/leave'));
  $subscribers[0]->close;
  $subscribers[1]->vanish;
  $publisher->say('still here?');
  is_deeply $subscribers[2]->hear, ['still here?'];
};

subtest 'the order of a publisher is kept' => sub {
  my $subscriber = Peer->open(listener('/sub/order'));
  my @sent = map {"$_"} 1 .. 2000;
  Peer->open(sender('/pub/order'))->say(@sent);
  is_deeply $subscriber->hear(scalar @sent), \@sent;
};

subtest 'everything before a close is published' => sub {
  my $subscriber = Peer->open(listener('/sub/last'));
  my $publisher  = Peer->open(sender('/pub/last'));
  my @sent       = map {"$_"} 1 .. 500;
  $publisher->say(@sent);
  is unpack('n', $publisher->close(1000)), 1000, 'its close is answered';
  is_deeply $subscriber->hear(scalar @sent), \@sent;
};

subtest 'what a subscriber says is ignored, and a publisher is told nothing' => sub {
  my $subscriber = Peer->open(sender('/sub/mute'));
  my $other      = Peer->open(listener('/sub/mute'));
  my $publisher  = Peer->open(sender('/pub/mute'));
  $subscriber->say('nobody hears', {binary => 'this'});
  $subscriber->say([1, 0, 0, 0, 9, 'read']);
  is $subscriber->hears_pong, 'read', 'all of it was read';
  $publisher->say('from the publisher');
  is_deeply $_->hear, ['from the publisher'] for $subscriber, $other;
  $publisher->close;
  is_deeply $publisher->heard, [];
};

subtest 'a topic is what its path says, decoded, without the query' => sub {
  my %paths = (
    'q%2Fr'      => 'q/r',
    'tea%20time' => 'tea time',
    'v1.2/x.y'   => 'v1.2/x.y',
    '%C3%BC/%E2%82%AC' => "\x{fc}/\x{20ac}",
    'plain?topic'  => 'plain',
  );
  for my $path (sort keys %paths) {
    my $subscriber = Peer->open(listener('/sub/') . $paths{$path});
    Peer->open(sender("/pub/$path"))->say("on $path");
    is_deeply $subscriber->hear, ["on $path"], $path;
  }
};

subtest 'POST publishes its body, and is answered with nothing' => sub {
  my ($parent, $child) = map { Peer->open(listener($_)) } '/sub/post', '/sub/post/below';
  is_deeply [post(sender('/pub/post/below'), 'posted')], [200, ''];
  is_deeply $_->hears, [text => 'posted'] for $parent, $child;
  is_deeply [post(sender('/pub/post'), "\xc3\xbc \xe2\x82\xac")], [200, ''], 'UTF-8';
  is_deeply $parent->hears, [text => "\xc3\xbc \xe2\x82\xac"], 'as it came';
  is_deeply [post(sender('/pub/post'), "\x00\xff\xfe")], [200, ''], 'bytes';
  is_deeply $parent->hears, [binary => "\x00\xff\xfe"], 'as they came';
  is_deeply [post(sender('/pub/post'))], [200, ''], 'nothing';
  is_deeply $parent->hears, [text => ''], 'as it came';
  is_deeply $child->heard, [], 'nothing of it below';
};

subtest 'what is not there is 404' => sub {
  is_deeply [(answer(sender($_)))[0]], [404], "a WebSocket to $_"
    for qw(/sub /sub/ /pub /pub/ /bus /bus/ /push /push/ /pull /pull/ /none /message/a);
  my $ua = Mojo::UserAgent->new;
  is $ua->get(sender($_))->res->code, 404, "GET $_" for qw(/sub/a /pub/a /bus/a /push/a /pull/a /sub /sub/ /none);
  is $ua->post(sender($_))->res->code, 404, "POST $_" for qw(/sub/a /pull/a /pub /pub/ /bus/ /push/);
};

done_testing;
