use Mojo::Base -strict, -signatures;
use Test::More;
use Peer qw(listener post sender);

my @peers = map { Peer->open($_) } sender('/bus/foo'), listener('/bus/foo'), sender('/bus/foo');
my $echoing = Peer->open(listener('/bus/foo?echo=1'));
my %strangers = map { $_ => Peer->open(listener($_)) } qw(/bus/bar /bus/foo/below /bus/fo /sub/foo /pull/foo);

subtest 'every peer hears every other, and itself only with echo' => sub {
  for my $peer (@peers) {
    $peer->say('from a peer');
    is_deeply $_->hear, ['from a peer'], 'another peer' for grep { $_ != $peer } @peers, $echoing;
  }
  $echoing->say('from the one with echo');
  is_deeply $_->hear, ['from the one with echo'], 'each peer' for @peers, $echoing;
};

subtest 'POST is heard by all, and answered with nothing' => sub {
  is_deeply [post(sender('/bus/foo'), "posted \xc3\xbc")], [200, ''];
  is_deeply $_->hears, [text => "posted \xc3\xbc"], 'a peer' for @peers, $echoing;
};

subtest 'each peer hears each other in its order' => sub {
  my @sent = map {"$_"} 1 .. 300;
  $peers[0]->say(map {"a $_"} @sent);
  $peers[1]->say(map {"b $_"} @sent);
  my $heard = $peers[2]->hear(2 * @sent);
  for my $name (qw(a b)) {
    is_deeply [grep {/^$name /} @$heard], [map {"$name $_"} @sent], "what $name said";
  }
  is_deeply $peers[0]->hear(scalar @sent), [map {"b $_"} @sent], 'a hears b alone';
  is_deeply $peers[1]->hear(scalar @sent), [map {"a $_"} @sent], 'b hears a alone';
  $echoing->hear(2 * @sent);
};

subtest 'a peer that has gone leaves the others as they were' => sub {
  my $vanishing = Peer->open(listener('/bus/foo'));
  (shift @peers)->close;
  $vanishing->vanish;
  $peers[0]->say('still here?');
  is_deeply $_->hear, ['still here?'] for $peers[1], $echoing;
};

subtest 'nobody else has heard any of it' => sub {
  post(sender('/bus/bar'),       'your own');
  post(sender('/bus/foo/below'), 'your own');
  post(sender('/bus/fo'),        'your own');
  post(sender('/pub/foo'),       'your own');
  post(sender('/push/foo'),      'your own');
  is_deeply $strangers{$_}->hear, ['your own'], $_ for sort keys %strangers;
  is_deeply $_->heard, [], 'and no peer has heard the strangers' for @peers, $echoing;
};

done_testing;
